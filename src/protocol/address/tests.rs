//! Addresses of data channels, as servers write them and as nobody should.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

fn reply(code: u16, lines: &[&'static str]) -> Reply {
    Reply::new(code, lines.iter().copied().map(Bytes::from).collect())
}

fn peer() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn at(code: u16, line: &'static str) -> Result<SocketAddr> {
    passive(&reply(code, &[line])).map(|listener| listener.at(peer()))
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn six_numbers_wherever_servers_put_them() {
    for line in [
        "Entering Passive Mode (127,0,0,1,140,101)", // globus-gridftp-server
        "Entering Passive Mode (127,0,0,1,140,101).", // vsftpd
        "Entering passive mode (127,0,0,1,140,101).",
        "Entering Passive Mode, (127,0,0,1,140,101)",
        "=127,0,0,1,140,101",
        "127,0,0,1,140,101",
        "Entering Passive Mode. 127,0,0,1,140,101",
        "PORT (127,0,0,1,140,101)",
    ] {
        for code in [227, 127] {
            assert_eq!(at(code, line).unwrap(), socket("127.0.0.1:35941"), "{line}");
        }
    }
}

#[test]
fn other_numbers_are_refused() {
    for line in [
        "Entering Passive Mode",
        "(1,2,3)",
        "(1,2,3,4,5)",
        "(1,2,3,4,5,6,7)",
        "(256,2,3,4,5,6)",
        "(999,999,999,999,999,999)",
        "(1,2,3,4,5,256)",
        "(1,2,3,4,0,0)",
        "(1,2,3,4,5,)",
        "(,1,2,3,4,5,6)",
        "(1,,3,4,5,6)",
        "(-1,2,3,4,5,6)",
        "(0001,2,3,4,5,6)",
        "(1,2,3,4,5,6) (1,2,3,4,5,7)",
        "(1,2,3,4,5,6) or 7,8",
        "(1, 2, 3, 4, 5, 6)",
        "(\u{664},2,3,4,5,6)",
    ] {
        let error = at(227, line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains("address of a data channel"), "{error}");
    }
    let long = "9".repeat(5000);
    let error = passive(&Reply::new(227, vec![format!("({long},2,3,4,5,6)").into()])).unwrap_err();
    assert!(error.to_string().len() < 1000);
    assert!(at(200, "(1,2,3,4,5,6)").is_err());
    assert!(passive(&reply(227, &["(1,2,3,4,5,6)", "(1,2,3,4,5,6)"])).is_err());
}

#[test]
fn extended_forms() {
    for (line, address) in [
        ("Entering Extended Passive Mode (|||47695|)", "192.0.2.1:47695"),
        ("Entering extended passive mode (|||36849|).", "192.0.2.1:36849"),
        ("(!!!1!)", "192.0.2.1:1"),
        ("(a) (|||65535|)", "192.0.2.1:65535"),
        ("(|1|1.2.3.4|5|)", "1.2.3.4:5"),
        ("(|2|2001:db8::1|5|)", "[2001:db8::1]:5"),
    ] {
        for code in [229, 129] {
            assert_eq!(at(code, line).unwrap(), socket(address), "{line}");
        }
    }
    for line in [
        "|||5|",
        "()",
        "(|||0|)",
        "(|||65536|)",
        "(|||-1|)",
        "(|||+1|)",
        "(||| 1|)",
        "(|||1)",
        "(||1|)",
        "(|||1||)",
        "(|||1|x)",
        "(x|||1|)",
        "(1115111)",
        "(|1||5|)",
        "(||1.2.3.4|5|)",
        "(|1|2001:db8::1|5|)",
        "(|2|1.2.3.4|5|)",
        "(|3|1.2.3.4|5|)",
        "(|2|fe80::1%eth0|5|)",
        "(|1|1.2.3|5|)",
        "(|||000001|)",
        "(|||1|) (|||x|)",
    ] {
        assert!(at(229, line).is_err(), "{line}");
    }
    assert!(passive(&reply(229, &["(|||1|)", "(|||2|)"])).is_err());
}

#[test]
fn stripes() {
    let spas = |lines: &[&'static str]| striped(&reply(229, lines));
    let one = spas(&["Entering Striped Passive Mode.", " 127,0,0,1,153,155", "End"]).unwrap();
    assert_eq!(one, [Listener { ip: Some("127.0.0.1".parse().unwrap()), port: 39323 }]);
    let three = spas(&["x", " 1,2,3,4,0,1", "|2|::1|5|", " |||6|", "End"]).unwrap();
    let at: Vec<_> = three.into_iter().map(|listener| listener.at(peer())).collect();
    assert_eq!(at, [socket("1.2.3.4:1"), socket("[::1]:5"), socket("192.0.2.1:6")]);
    for bad in [
        &["x", "End"][..],
        &["x"],
        &[],
        &["x", " 1,2,3,4,5,6", " oops", "End"],
        &["x", " 1,2,3,4,0,0", "End"],
        &["x", " 1,2,3,4,5,6 7", "End"],
        &["x", " (1,2,3,4,5,6)", "End"],
        &["x", "", "End"],
    ] {
        assert_eq!(spas(bad).unwrap_err().kind(), ErrorKind::Protocol, "{bad:?}");
    }
    let many = [vec!["x"], vec!["1,2,3,4,5,6"; MAX_STRIPES + 1], vec!["x"]].concat();
    assert!(spas(&many).unwrap_err().to_string().contains("1 to 1024"));
    assert!(striped(&reply(227, &["x", " 1,2,3,4,5,6", "End"])).is_err());
}

#[test]
fn arguments() {
    let v4 = socket("10.0.255.1:35941");
    let v6 = socket("[2001:db8::1]:5");
    let mapped = socket("[::ffff:10.0.255.1]:35941");
    assert_eq!(port_argument(v4).unwrap(), "10,0,255,1,140,101");
    assert_eq!(port_argument(mapped).unwrap(), "10,0,255,1,140,101");
    assert_eq!(eprt_argument(v4).unwrap(), "|1|10.0.255.1|35941|");
    assert_eq!(eprt_argument(v6).unwrap(), "|2|2001:db8::1|5|");
    assert_eq!(spor_argument(&[v4, mapped]).unwrap(), "10,0,255,1,140,101 10,0,255,1,140,101");
    assert_eq!(spor_argument(&[v4, v6]).unwrap(), "|1|10.0.255.1|35941| |2|2001:db8::1|5|");
    assert!(port_argument(v6).unwrap_err().to_string().contains("[2001:db8::1]:5: expected IPv4"));
    assert!(spor_argument(&[]).unwrap_err().to_string().contains("0 data addresses"));
    for argument in [
        port_argument(socket("1.2.3.4:0")),
        eprt_argument(socket("[::1]:0")),
        spor_argument(&[v4, socket("[::1]:0")]),
    ] {
        let error = argument.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("port from 1 to 65535"));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(ip in any::<[u8; 4]>(), v6 in any::<[u16; 8]>(), port in 1_u16..) {
        let v4 = SocketAddr::new(IpAddr::from(ip), port);
        let v6 = SocketAddr::new(IpAddr::from(v6), port);
        let six = passive(&Reply::new(227, vec![format!("({})", port_argument(v4).unwrap()).into()])).unwrap();
        prop_assert_eq!(six.at(peer()), v4);
        for address in [v4, v6] {
            let bars = passive(&Reply::new(229, vec![format!("({})", eprt_argument(address).unwrap()).into()])).unwrap();
            prop_assert_eq!(bars.at(peer()).ip(), address.ip().to_canonical());
        }
    }

    #[test]
    fn never_panics(code in prop_oneof![Just(227_u16), Just(229), Just(127), Just(129)],
        lines in proptest::collection::vec("[(|,)0-9 :.x=\\x00-\\xff]{0,40}", 0..5))
    {
        let reply = Reply::new(code, lines.into_iter().map(Bytes::from).collect());
        if let Ok(listener) = passive(&reply) {
            prop_assert_ne!(listener.port, 0);
        }
        for listener in striped(&reply).unwrap_or_default() {
            prop_assert_ne!(listener.port, 0);
        }
    }
}
