//! A balancer of connections before two replicas, as a proxy on layer 4 is: it passes bytes on and knows nothing of calls.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The replicas, by their places; `None`: none is there.
#[derive(Debug, Default)]
pub(crate) struct Places {
    addresses: Mutex<[Option<SocketAddr>; 2]>,
    turn: AtomicUsize,
    /// The replicas that connections are passed on to, one entry for each connection.
    passed: Mutex<Vec<SocketAddr>>,
}

impl Places {
    pub(crate) fn set(&self, place: usize, address: Option<SocketAddr>) {
        self.addresses()[place] = address;
    }

    /// The number of connections that are passed on to this replica.
    pub(crate) fn connections(&self, replica: SocketAddr) -> usize {
        self.passed().iter().filter(|&&address| address == replica).count()
    }

    fn passed(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replica whose turn it is, and the other.
    fn next(&self) -> [Option<SocketAddr>; 2] {
        let [one, other] = *self.addresses();
        if self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { [one, other] } else { [other, one] }
    }

    fn addresses(&self) -> MutexGuard<'_, [Option<SocketAddr>; 2]> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes connections until it is dropped.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    pub(crate) places: Arc<Places>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let places = Arc::<Places>::default();
        let mut tasks = JoinSet::new();
        let given = Arc::clone(&places);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("there are descriptors");
                let given = Arc::clone(&given);
                connections.spawn(async move { pass(client, &given).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, places, _tasks: tasks }
    }
}

/// Passes a connection on to the replica whose turn it is, or to the other if that one does not take it. If there is no
/// replica, the connection is closed.
async fn pass(mut client: TcpStream, places: &Places) {
    for address in places.next().into_iter().flatten() {
        if let Ok(mut server) = TcpStream::connect(address).await {
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("it is open");
            }
            places.passed().push(address);
            // If either side breaks the connection, the other side's connection ends, too.
            let _ = copy_bidirectional(&mut client, &mut server).await;
            let mut passed = places.passed();
            let one = passed.iter().position(|&passed| passed == address).expect("it was added");
            passed.swap_remove(one);
            return;
        }
    }
}
