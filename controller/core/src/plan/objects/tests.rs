//! Plans of networks, configs and secrets.
