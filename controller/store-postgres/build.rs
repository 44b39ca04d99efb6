//! `migrate!` embeds the migrations; cargo does not see a new file in their folder by itself.

fn main() {
    #[allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
    {
        println!("cargo:rerun-if-changed=migrations");
    }
}
