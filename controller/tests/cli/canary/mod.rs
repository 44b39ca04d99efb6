//! Secrets are searched for in everything that leaves the program: what it prints in every form
//! of output, what it logs, traces, serves, stores, copies and sends. One secret is planted for
//! each place where one can enter, so that a hit says which it is.

mod commands;
mod copies;
mod mistakes;
mod scene;
mod serving;
