//! `p2p_ingress`, `p2p_egress` and their families by message code, and `discv5_*Traffic`: the reference's go-ethereum
//! registry has meters as gauges that only grow. Asked for at each scrape. Facts: `spec/operations.md` §3.4,
//! `spec/waku-mailserver.md` §6.

use devp2p::{CodeTotals, TrafficTotals};
use prometheus::{
    IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Bytes over TCP, and bytes and packets of each message code.
pub(crate) struct Sessions {
    ask: Box<dyn Fn() -> TrafficTotals + Send + Sync>,
    ingress: IntGauge,
    egress: IntGauge,
}

impl Sessions {
    pub(crate) fn new(ask: impl Fn() -> TrafficTotals + Send + Sync + 'static) -> prometheus::Result<Self> {
        Ok(Self {
            ask: Box::new(ask),
            ingress: IntGauge::new("p2p_ingress", "Bytes received from peers, handshakes included.")?,
            egress: IntGauge::new("p2p_egress", "Bytes sent to peers, handshakes included.")?,
        })
    }
}

fn value(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// One family for bytes, one for packets.
fn of_code(totals: &CodeTotals) -> prometheus::Result<Vec<MetricFamily>> {
    let CodeTotals { capability, code, received, bytes, packets } = totals;
    let (way, done) = if *received { ("ingress", "received") } else { ("egress", "sent") };
    let message = format!("{}/{} of code {code}", capability.name, capability.version);
    let name = format!("p2p_{way}_{}_{}_{code:#04x}", capability.name, capability.version);
    let size = IntGauge::new(&name, format!("Bytes of messages {message} {done}, as in frames."))?;
    size.set(value(*bytes));
    let count = IntGauge::new(format!("{name}_packets"), format!("Messages {message} {done}."))?;
    count.set(value(*packets));
    Ok([size.collect(), count.collect()].concat())
}

impl Collector for Sessions {
    fn desc(&self) -> Vec<&Desc> {
        [self.ingress.desc(), self.egress.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let totals = (self.ask)();
        self.ingress.set(value(totals.received));
        self.egress.set(value(totals.sent));
        let mut all = [self.ingress.collect(), self.egress.collect()].concat();
        // A name that the registry does not take is that of no protocol of this node.
        all.extend(totals.codes.iter().flat_map(|code| of_code(code).unwrap_or_default()));
        all
    }
}

/// Bytes over UDP. They stay where they are while discovery does not run.
pub(crate) struct Discovery {
    ask: Box<dyn Fn() -> Option<discovery::Stats> + Send + Sync>,
    inbound: IntGauge,
    outbound: IntGauge,
}

impl Discovery {
    pub(crate) fn new(
        ask: impl Fn() -> Option<discovery::Stats> + Send + Sync + 'static,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            ask: Box::new(ask),
            inbound: IntGauge::new("discv5_InboundTraffic", "Bytes of datagrams that discovery received.")?,
            outbound: IntGauge::new("discv5_OutboundTraffic", "Bytes of datagrams that discovery sent.")?,
        })
    }
}

impl Collector for Discovery {
    fn desc(&self) -> Vec<&Desc> {
        [self.inbound.desc(), self.outbound.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(stats) = (self.ask)() {
            self.inbound.set(value(stats.received_bytes));
            self.outbound.set(value(stats.sent_bytes));
        }
        [self.inbound.collect(), self.outbound.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use devp2p::Capability;
    use parking_lot::Mutex;
    use prometheus::{Registry, TextEncoder};
    use std::sync::Arc;

    use super::*;

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[track_caller]
    fn assert_lines(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} in {text}");
        }
    }

    #[test]
    fn ops_3_4_families_by_message_code() {
        let totals = TrafficTotals {
            received: 1000,
            sent: 50,
            codes: [(1, true, 1, 900, 3), (0, false, 127, 40, 2)]
                .map(|(version, received, code, bytes, packets)| CodeTotals {
                    capability: Capability { name: "waku".to_owned(), version },
                    code,
                    received,
                    bytes,
                    packets,
                })
                .to_vec(),
        };
        let registry = Registry::new();
        registry.register(Box::new(Sessions::new(move || totals.clone()).unwrap())).unwrap();
        assert_lines(
            &text(&registry),
            &[
                "# TYPE p2p_ingress gauge",
                "p2p_ingress 1000",
                "p2p_egress 50",
                "# TYPE p2p_ingress_waku_1_0x01 gauge",
                "p2p_ingress_waku_1_0x01 900",
                "p2p_ingress_waku_1_0x01_packets 3",
                "p2p_egress_waku_0_0x7f 40",
                "# TYPE p2p_egress_waku_0_0x7f_packets gauge",
                "p2p_egress_waku_0_0x7f_packets 2",
            ],
        );
    }

    #[test]
    fn ops_3_4_discovery_stays_where_it_was_when_it_ends() {
        let stats = Arc::new(Mutex::new(None));
        let asked = Arc::clone(&stats);
        let registry = Registry::new();
        registry.register(Box::new(Discovery::new(move || *asked.lock()).unwrap())).unwrap();
        assert_lines(&text(&registry), &["discv5_InboundTraffic 0", "discv5_OutboundTraffic 0"]);
        *stats.lock() =
            Some(discovery::Stats { received_bytes: 7, sent_bytes: 5, ..discovery::Stats::default() });
        let lines =
            ["# TYPE discv5_InboundTraffic gauge", "discv5_InboundTraffic 7", "discv5_OutboundTraffic 5"];
        assert_lines(&text(&registry), &lines);
        *stats.lock() = None;
        assert_lines(&text(&registry), &lines);
    }
}
