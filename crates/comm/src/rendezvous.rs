//! How processes become ranks that are linked by sockets.
//!
//! Rank 0 listens at the place that the launcher named. Every other rank comes there, says who it is and on which port it
//! listens itself, and is told where the others are; then each connects to those of lower rank. What is no rank of this
//! run, or is a rank twice, is turned away and not waited for.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::mesh::{Frame, Link, Mesh, Received};
use crate::{Communicator, Error, Launch, Master, Result, Solo, wire};

/// The first word of everybody.
const GREETING: &str = "recon-ranks/1";
/// Room for what is said before a run begins.
const GREETING_BYTES: u64 = 1 << 20;
/// How long one that has connected may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Said to a rank that need not be told where one listens.
const NO_PORT: u16 = 0;
const PAUSE: Duration = Duration::from_millis(20);

/// Meets the other ranks of `launch`; afterwards no call waits longer than `limit` for one that says nothing.
///
/// # Errors
/// [`Error::Missing`] names the ranks that did not come within `limit`; [`Error::Environment`] where it was not said
/// where to meet.
pub fn join(launch: &Launch, limit: Duration) -> Result<Box<dyn Communicator + Send>> {
    if launch.world == 1 {
        return Ok(Box::new(Solo));
    }
    let Some(master) = &launch.master else {
        let problem = "is not set: the machine of rank 0, where the ranks meet".into();
        return Err(Error::Environment { variable: "MASTER_ADDR".into(), problem });
    };
    let meeting = Meeting { launch, master, limit, until: Instant::now() + limit };
    let sockets = if launch.rank == 0 { meeting.receive()? } else { meeting.come()? };
    Ok(Box::new(mesh(launch.rank, sockets, limit)?))
}

struct Meeting<'a> {
    launch: &'a Launch,
    master: &'a Master,
    limit: Duration,
    until: Instant,
}

/// A socket for each other rank.
type Sockets = Vec<Option<TcpStream>>;

impl Meeting<'_> {
    /// Rank 0: waits for all, then tells each where the others listen.
    fn receive(&self) -> Result<Sockets> {
        let Master { host, port } = self.master;
        let named = TcpListener::bind((host.as_str(), *port));
        // Behind a service or a translated address the name is not one of this machine's own.
        let listener = named
            .or_else(|error| match error.kind() {
                ErrorKind::AddrInUse => Err(error),
                _ => TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)),
            })
            .map_err(|error| self.failed("listen at", &error))?;
        let (sockets, ports) = self.accept(&listener, 1)?;
        let place = |(rank, port): (usize, &u16)| -> String {
            let Some(Ok(address)) = sockets[rank].as_ref().map(TcpStream::peer_addr) else { return "-".into() };
            // One that came over the loopback is on this machine, and reached by others as this machine is.
            if address.ip().is_loopback() { format!("master {port}") } else { format!("{} {port}", address.ip()) }
        };
        let places: Vec<String> = ports.iter().enumerate().map(place).collect();
        for socket in sockets.iter().flatten() {
            say(socket, &places.join("\n")).map_err(|error| self.failed("tell the ranks at", &error))?;
        }
        Ok(sockets)
    }

    /// Every other rank.
    fn come(&self) -> Result<Sockets> {
        let own = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
            .map_err(|error| self.failed("listen for ranks after meeting at", &error))?;
        let port = own.local_addr().map_err(|error| self.failed("listen for ranks after meeting at", &error))?.port();
        let first = self.connect(0, self.master.host.as_str(), self.master.port, port)?;
        let missing = || self.missing(vec![0]);
        let left = self.until.saturating_duration_since(Instant::now()).max(PAUSE);
        first.set_read_timeout(Some(left)).map_err(|error| self.failed("wait at", &error))?;
        let places = hear(&first).map_err(|_| missing())?;
        let master = first.peer_addr().map_err(|error| self.failed("wait at", &error))?.ip();
        let mut earlier = vec![Some(first)];
        for (rank, place) in places.lines().enumerate().take(self.launch.rank).skip(1) {
            let (host, port) = place.split_once(' ').ok_or_else(missing)?;
            let host: IpAddr = if host == "master" { master } else { host.parse().map_err(|_| missing())? };
            let there = port.parse().map_err(|_| missing())?;
            earlier.push(Some(self.connect(rank, host, there, NO_PORT)?));
        }
        let (mut sockets, _) = self.accept(&own, self.launch.rank + 1)?;
        sockets.splice(..earlier.len(), earlier);
        Ok(sockets)
    }

    /// The sockets of all ranks from `first` on, and the ports they say they listen on.
    fn accept(&self, listener: &TcpListener, first: usize) -> Result<(Sockets, Vec<u16>)> {
        let world = self.launch.world;
        let mut sockets: Sockets = (0..world).map(|_| None).collect();
        let mut ports = vec![0; world];
        listener.set_nonblocking(true).map_err(|error| self.failed("listen at", &error))?;
        while sockets[first.min(world)..].iter().any(Option::is_none) {
            match listener.accept() {
                Ok((socket, _)) => {
                    if let Some((rank, port)) = self.greeted(&socket)
                        && rank >= first
                        && sockets[rank].is_none()
                    {
                        (sockets[rank], ports[rank]) = (Some(socket), port);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= self.until {
                        return Err(self.missing((first..world).filter(|rank| sockets[*rank].is_none()).collect()));
                    }
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(self.failed("listen at", &error)),
            }
        }
        Ok((sockets, ports))
    }

    /// The rank and the port that who has connected says, if it is of this run.
    fn greeted(&self, socket: &TcpStream) -> Option<(usize, u16)> {
        socket.set_nonblocking(false).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let said = hear(socket).ok()?;
        let [greeting, run, world, rank, port] = said.lines().collect::<Vec<_>>().try_into().ok()?;
        let rank = rank.parse().ok().filter(|rank| *rank < self.launch.world)?;
        let is_ours = greeting == GREETING && run == self.launch.run && world == self.launch.world.to_string();
        is_ours.then_some((rank, port.parse().ok()?))
    }

    /// Connects to `rank`, which may not be there yet, and says who this is.
    fn connect(&self, rank: usize, host: impl ToString, port: u16, own_port: u16) -> Result<TcpStream> {
        let host = host.to_string();
        loop {
            let addresses = (host.as_str(), port).to_socket_addrs();
            let mut sockets =
                addresses.into_iter().flatten().filter_map(|it| TcpStream::connect_timeout(&it, PATIENCE).ok());
            if let Some(socket) = sockets.next() {
                let Launch { run, world, rank, .. } = self.launch;
                say(&socket, &format!("{GREETING}\n{run}\n{world}\n{rank}\n{own_port}"))
                    .map_err(|error| self.failed("greet the ranks at", &error))?;
                return Ok(socket);
            }
            if Instant::now() >= self.until {
                return Err(self.missing(vec![rank]));
            }
            thread::sleep(PAUSE);
        }
    }

    fn missing(&self, missing: Vec<usize>) -> Error {
        let Master { host, port } = self.master;
        Error::Missing { missing, world: self.launch.world, address: format!("{host}:{port}"), limit: self.limit }
    }

    fn failed(&self, attempt: &str, error: &std::io::Error) -> Error {
        let Master { host, port } = self.master;
        Error::Network { attempt: format!("{attempt} {host}:{port}"), problem: error.to_string() }
    }
}

fn say(mut socket: &TcpStream, text: &str) -> std::io::Result<()> {
    wire::write(&mut socket, &Frame::Message { exchange: 0, bytes: text.as_bytes().to_vec() })
}

fn hear(mut socket: &TcpStream) -> std::io::Result<String> {
    match wire::read(&mut socket, GREETING_BYTES)? {
        Frame::Message { bytes, .. } => {
            String::from_utf8(bytes).map_err(|error| std::io::Error::other(error.to_string()))
        }
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// A mesh over sockets: for each one thread that sends and one that receives.
fn mesh(rank: usize, sockets: Sockets, limit: Duration) -> Result<Mesh> {
    let (arrived, inbox) = channel();
    let mut senders = Vec::new();
    let mut links = Vec::with_capacity(sockets.len());
    for (other, socket) in sockets.into_iter().enumerate() {
        let Some(socket) = socket.filter(|_| other != rank) else {
            links.push(None);
            continue;
        };
        let failed = |error: std::io::Error| Error::Network {
            attempt: format!("open the connection to rank {other}"),
            problem: error.to_string(),
        };
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_read_timeout(None).map_err(failed)?;
        socket.set_write_timeout(Some(limit)).map_err(failed)?;
        let receiving = socket.try_clone().map_err(failed)?;
        let arrived = arrived.clone();
        thread::spawn(move || receive(other, receiving, &arrived));
        let (link, outbox) = channel::<Frame>();
        senders.push(thread::spawn(move || send(&socket, outbox)));
        links.push(Some(Box::new(move |frame| link.send(frame).is_ok()) as Link));
    }
    Ok(Mesh::new(rank, links, inbox, limit).with_senders(senders))
}

fn receive(from: usize, mut socket: TcpStream, arrived: &Sender<Received>) {
    loop {
        // Whatever ends a connection, its rank is gone.
        let frame = wire::read(&mut socket, u64::MAX).unwrap_or(Frame::Gone);
        let last = frame == Frame::Gone;
        if arrived.send((from, frame)).is_err() || last {
            return;
        }
    }
}

fn send(mut socket: &TcpStream, outbox: impl IntoIterator<Item = Frame>) {
    for frame in outbox {
        if wire::write(&mut socket, &frame).is_err() || frame == Frame::Gone {
            break;
        }
    }
    // The others read what was sent, then the end.
    drop(socket.shutdown(std::net::Shutdown::Write));
}
