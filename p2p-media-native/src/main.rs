//! The `p2p-media` program.

fn main() -> std::process::ExitCode {
    p2p_media_native::program::main()
}
