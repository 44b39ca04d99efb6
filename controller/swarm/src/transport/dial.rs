//! Opening one byte stream to the engine, whatever kind of address it has.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Join, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use crate::address::EngineAddress;

/// As much of ssh's complaint as a person needs.
const LONGEST_COMPLAINT: u64 = 2_000;

/// A program that has ended was heard within moments.
const LONGEST_HEARING: Duration = Duration::from_millis(500);

/// What a carrier program says on its standard error: the reason why a connection ended. Other
/// connections have none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complaint(Option<watch::Receiver<Option<String>>>);

impl Complaint {
    /// What a program has said that is ending.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        let said = self.0.as_mut()?.wait_for(Option::is_some);
        let text = tokio::time::timeout(LONGEST_HEARING, said).await.ok()?.ok()?.clone()?;
        (!text.is_empty()).then_some(text)
    }
}

/// One open stream to the engine.
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    /// The process is ended when the stream is dropped.
    Ssh {
        pipes: Join<ChildStdout, ChildStdin>,
        _process: Box<Child>,
    },
}

/// Opens a stream. The caller sets the time limit.
pub(crate) async fn dial(address: &EngineAddress) -> io::Result<(Stream, Complaint)> {
    match address {
        EngineAddress::Unix(path) => {
            Ok((Stream::Unix(UnixStream::connect(path).await?), Complaint::default()))
        }
        EngineAddress::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            // Requests are small and answered at once: waiting to fill a packet only adds delay.
            stream.set_nodelay(true)?;
            Ok((Stream::Tcp(stream), Complaint::default()))
        }
        EngineAddress::Ssh { .. } => spawn(Command::new("ssh").args(ssh_arguments(address))),
    }
}

/// The arguments of `ssh`; no shell of ours ever sees them, and `--` ends the options.
fn ssh_arguments(address: &EngineAddress) -> Vec<String> {
    let EngineAddress::Ssh { user, host, port } = address else {
        return Vec::new();
    };
    // Nobody is there to type a password, and without the limit ssh waits for minutes.
    let mut arguments: Vec<String> =
        ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"].map(str::to_owned).into();
    if let Some(user) = user {
        arguments.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    arguments.extend(["--", host, "docker", "system", "dial-stdio"].map(str::to_owned));
    arguments
}

/// Runs a program whose standard input and output are the connection.
pub(super) fn spawn(command: &mut Command) -> io::Result<(Stream, Complaint)> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(input), Some(output), Some(errors)) =
        (process.stdin.take(), process.stdout.take(), process.stderr.take())
    else {
        return Err(io::Error::other("the program was started without pipes"));
    };
    let (say, said) = watch::channel(None);
    tokio::spawn(async move {
        let mut text = Vec::new();
        let _ends_with_the_process = errors.take(LONGEST_COMPLAINT).read_to_end(&mut text).await;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        let _nobody_may_listen = say.send(Some(text));
    });
    let stream = Stream::Ssh { pipes: tokio::io::join(output, input), _process: Box::new(process) };
    Ok((stream, Complaint(Some(said))))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Ssh { pipes, .. } => Pin::new(pipes).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Ssh { pipes, .. } => Pin::new(pipes).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Ssh { pipes, .. } => Pin::new(pipes).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Ssh { pipes, .. } => Pin::new(pipes).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn ssh_gets_its_options_before_the_dashes_and_a_constant_command() {
        let address = EngineAddress::parse("ssh://ops@host:22").unwrap();
        let arguments = ssh_arguments(&address).join(" ");
        assert!(arguments.contains("-l ops -p 22 -- host docker system dial-stdio"));
        assert!(arguments.contains("BatchMode=yes"));
    }

    #[tokio::test]
    async fn a_carrier_program_is_a_stream_and_its_complaint_is_kept() {
        let mut shell = Command::new("sh");
        let (mut stream, mut complaint) =
            spawn(shell.args(["-c", "read line; echo \"got $line\"; echo no route >&2"])).unwrap();
        stream.write_all(b"ping\n").await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert_eq!(reply, "got ping\n");
        assert_eq!(complaint.hear().await.as_deref(), Some("no route"));
    }
}
