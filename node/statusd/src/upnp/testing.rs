//! A router as tests need one: SSDP and SOAP as in UPnP Device Architecture 1.1 and WANIPConnection 1, over real sockets.
//! It forgets what is not renewed, and says of what it was asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::HeaderMap, routing::get};
use tokio::net::{TcpListener, UdpSocket};

const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";
/// Where routers are asked for.
pub(crate) const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(239, 255, 255, 250), 1900);

/// TCP or UDP, and the outside port.
pub(crate) type Outside = (String, u16);

/// What it forwards, and how it behaves.
pub(crate) struct Behaviour {
    /// Where it says that it is.
    pub(crate) external: Ipv4Addr,
    /// What it forwards, to whom, until when.
    pub(crate) forwarded: BTreeMap<Outside, (SocketAddr, Option<Instant>)>,
    /// What others have.
    pub(crate) taken: BTreeSet<Outside>,
    /// It takes only forwardings without an end.
    pub(crate) only_permanent: bool,
    /// It answers no request.
    pub(crate) broken: bool,
    /// Requests so far.
    pub(crate) requests: usize,
    /// Times that each port was asked for.
    pub(crate) asked: BTreeMap<Outside, usize>,
    /// What ended because nobody renewed it.
    pub(crate) lapsed: Vec<Outside>,
    /// Put into the answers.
    pub(crate) padding: String,
}

/// A running router.
#[derive(Clone)]
pub(crate) struct TestRouter {
    /// Where it takes searches.
    pub(crate) search: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl TestRouter {
    /// Starts one at `ip`, which takes searches at any free port of it.
    pub(crate) async fn start(ip: Ipv4Addr) -> Self {
        Self::with(ip, UdpSocket::bind((ip, 0)).await.unwrap()).await
    }

    /// Starts one at `ip`, which takes searches of the whole network.
    pub(crate) async fn start_in_network(ip: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind(GROUP).await.unwrap();
        socket.join_multicast_v4(GROUP.0, ip).unwrap();
        Self::with(ip, socket).await
    }

    async fn with(ip: Ipv4Addr, socket: UdpSocket) -> Self {
        let behaviour = Arc::new(Mutex::new(Behaviour {
            external: Ipv4Addr::new(198, 51, 100, 7),
            forwarded: BTreeMap::new(),
            taken: BTreeSet::new(),
            only_permanent: false,
            broken: false,
            requests: 0,
            asked: BTreeMap::new(),
            lapsed: Vec::new(),
            padding: String::new(),
        }));
        let search = socket.local_addr().unwrap();
        let http = TcpListener::bind((ip, 0)).await.unwrap();
        let answers = UdpSocket::bind((ip, 0)).await.unwrap();
        let location = format!("http://{}/root.xml", http.local_addr().unwrap());
        tokio::spawn(async move {
            let mut request = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut request).await {
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                if text.starts_with("M-SEARCH * HTTP/1.1\r\n") && text.contains("ssdp:discover") {
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nST:{SERVICE}\r\nUSN:uuid:1\r\nLOCATION:{location}\r\n\r\n"
                    );
                    answers.send_to(answer.as_bytes(), from).await.unwrap();
                }
            }
        });
        let router = Router::new()
            .route("/root.xml", get(root))
            .route("/service.xml", get(service))
            .route("/control", axum::routing::post(control))
            .with_state(Arc::clone(&behaviour));
        tokio::spawn(async move { axum_serve(http, router).await });
        Self { search, behaviour }
    }

    /// Looks at it, or changes it.
    pub(crate) fn with_behaviour<T>(&self, look: impl FnOnce(&mut Behaviour) -> T) -> T {
        let mut behaviour = self.behaviour.lock().unwrap();
        behaviour.expire();
        look(&mut behaviour)
    }
}

async fn axum_serve(listener: TcpListener, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let io = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    }
}

impl Behaviour {
    fn expire(&mut self) {
        let now = Instant::now();
        let over: Vec<Outside> = self
            .forwarded
            .iter()
            .filter(|(_, (_, until))| until.is_some_and(|until| until < now))
            .map(|(outside, _)| outside.clone())
            .collect();
        for outside in over {
            self.forwarded.remove(&outside);
            self.lapsed.push(outside);
        }
    }

    fn add(&mut self, body: &str) -> Result<String, u16> {
        let outside = (field(body, "NewProtocol").to_owned(), number(body, "NewExternalPort"));
        *self.asked.entry(outside.clone()).or_default() += 1;
        if self.taken.contains(&outside) {
            return Err(718);
        }
        let lease = u64::from(number(body, "NewLeaseDuration"));
        if self.only_permanent && lease != 0 {
            return Err(725);
        }
        let client: Ipv4Addr = field(body, "NewInternalClient").parse().map_err(|_| 402_u16)?;
        let inside = SocketAddr::from((client, number(body, "NewInternalPort")));
        let until = (lease != 0).then(|| Instant::now() + Duration::from_secs(lease));
        self.forwarded.insert(outside, (inside, until));
        Ok(String::new())
    }

    fn delete(&mut self, body: &str) -> Result<String, u16> {
        let outside = (field(body, "NewProtocol").to_owned(), number(body, "NewExternalPort"));
        self.forwarded.remove(&outside).map(|_| String::new()).ok_or(714)
    }
}

async fn root(State(behaviour): State<Arc<Mutex<Behaviour>>>) -> String {
    let padding = behaviour.lock().unwrap().padding.clone();
    format!(
        r#"<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">{padding}<device>
        <deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList><device><deviceList><device>
        <serviceList><service><serviceType>{SERVICE}</serviceType><SCPDURL>/service.xml</SCPDURL>
        <controlURL>/control</controlURL></service></serviceList></device></deviceList></device></deviceList></device></root>"#
    )
}

async fn service() -> String {
    let mut actions = String::new();
    for (action, arguments) in [
        ("GetExternalIPAddress", ""),
        (
            "AddPortMapping",
            "RemoteHost ExternalPort Protocol InternalPort InternalClient Enabled PortMappingDescription LeaseDuration",
        ),
        ("DeletePortMapping", "RemoteHost ExternalPort Protocol"),
    ] {
        let mut list = String::new();
        for argument in arguments.split_whitespace() {
            write!(list, "<argument><name>New{argument}</name><direction>in</direction></argument>").unwrap();
        }
        write!(actions, "<action><name>{action}</name><argumentList>{list}</argumentList></action>").unwrap();
    }
    format!(
        r#"<?xml version="1.0"?><scpd xmlns="urn:schemas-upnp-org:service-1-0"><actionList>{actions}</actionList></scpd>"#
    )
}

async fn control(
    State(behaviour): State<Arc<Mutex<Behaviour>>>,
    headers: HeaderMap,
    body: String,
) -> (axum::http::StatusCode, String) {
    let action = headers["SOAPAction"].to_str().unwrap().trim_matches('"').split_once('#').unwrap().1;
    let mut behaviour = behaviour.lock().unwrap();
    behaviour.expire();
    behaviour.requests += 1;
    let result = match action {
        _ if behaviour.broken => Err(501),
        "GetExternalIPAddress" => {
            Ok(format!("<NewExternalIPAddress>{}</NewExternalIPAddress>", behaviour.external))
        }
        "AddPortMapping" => behaviour.add(&body),
        "DeletePortMapping" => behaviour.delete(&body),
        _ => Err(401),
    };
    let (status, body) = match result {
        Ok(inner) => {
            (200, format!(r#"<u:{action}Response xmlns:u="{SERVICE}">{inner}</u:{action}Response>"#))
        }
        Err(code) => (
            500,
            format!(
                "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError \
                 xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode><errorDescription>no</errorDescription>\
                 </UPnPError></detail></s:Fault>"
            ),
        ),
    };
    let envelope = format!(
        r#"<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{body}</s:Body></s:Envelope>"#
    );
    (axum::http::StatusCode::from_u16(status).unwrap(), envelope)
}

fn field<'a>(body: &'a str, name: &str) -> &'a str {
    let rest = body.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    rest.split_once('<').map_or("", |(value, _)| value)
}

fn number(body: &str, name: &str) -> u16 {
    field(body, name).parse().unwrap()
}
