//! The stack's view of tokio, with a few things of our own: large socket buffers, short waits while a
//! connection opens, a limit on name lookups, and notice of the stack's end.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use webrtc::runtime::{AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, default_runtime};

use super::connection_events::ProgressReport;

/// Buffers asked for on each UDP socket, in bytes. The system's maximum may be less. With the usual 208 KiB a burst of one SCTP window
/// overruns the socket, and the loss costs nine tenths of the throughput.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Longest wait for the address of a STUN or TURN server. The stack does nothing else meanwhile, and the candidates of this machine must
/// still make it into the description.
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);

/// Longest sleep of the stack while a connection opens. What it makes of an event, such as the first packets of DTLS and of SCTP, it sends
/// after its next wait, which would be 50 to 200 ms each: with this a connection opens in 30 ms instead of 450.
const OPENING_SLEEP: Duration = Duration::from_millis(10);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The runtime of one connection.
#[derive(Debug)]
pub(super) struct SocketRuntime {
    tokio: Arc<dyn Runtime>,
    report: ProgressReport,
}

impl SocketRuntime {
    pub(super) fn new(report: ProgressReport) -> io::Result<Self> {
        let tokio = default_runtime().ok_or_else(|| io::Error::other("the WebRTC stack was built without tokio"))?;
        Ok(Self { tokio, report })
    }
}

/// Reports the end of the stack's task however it comes: by itself, by an error, or by a panic that nobody else would notice.
struct EndNotice(ProgressReport);

impl Drop for EndNotice {
    fn drop(&mut self) {
        self.0.end("the connection's task ended");
    }
}

impl Runtime for SocketRuntime {
    fn spawn(&self, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        // The one task that the stack spawns here drives the connection: it has no TCP candidates.
        let notice = EndNotice(self.report.clone());
        self.tokio.spawn(Box::pin(async move {
            let _notice = notice;
            future.await;
        }))
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let options = SockRef::from(&socket);
        for result in [options.set_recv_buffer_size(SOCKET_BUFFER_BYTES), options.set_send_buffer_size(SOCKET_BUFFER_BYTES)] {
            if let Err(error) = result {
                tracing::debug!("UDP socket buffers stay as they are: {error}");
            }
        }
        self.tokio.wrap_udp_socket(socket)
    }

    fn wrap_tcp_listener(&self, listener: TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.tokio.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(&'a self, remote_addr: SocketAddr) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        self.tokio.connect_tcp(remote_addr)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            match tokio::time::timeout(LOOKUP_LIMIT, self.tokio.resolve_host(host)).await {
                Ok(addresses) => addresses,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("looking up {host} took too long"))),
            }
        })
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        self.tokio.sleep(if self.report.is_opening() { duration.min(OPENING_SLEEP) } else { duration })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.tokio.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.tokio.block_on(future);
    }

    fn yield_now(&self) -> Boxed<'static, ()> {
        self.tokio.yield_now()
    }

    fn name(&self) -> &'static str {
        "tokio"
    }
}
