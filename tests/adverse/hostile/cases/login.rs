//! Greetings and logins.

use super::*;
use ErrorKind::{Authentication, ConnectionLost, Protocol, ServerBusy, Timeout};
use gridftp::TimeoutKind;

pub(super) fn cases() -> Vec<Case> {
    let greeting = Step::Greeting;
    let at = |name, step, act, expect| Case::at(name, Op::Stat, step, act, expect);
    let get = |name, step, act, expect| Case::at(name, Op::Get, step, act, expect);
    let gsi = |name, play: fn() -> Play, expect| Case::new(name, Op::Gsi, expect, play);
    let connect = || fails(Timeout(TimeoutKind::Connect), Phase::Login);
    vec![
        get("greeting: silence", greeting, Act::Silence, connect()),
        get("greeting: close", greeting, Act::Close, fails(ConnectionLost, Phase::Login)),
        Case::at("greeting: reset", Op::Get, greeting, Act::Reset, Expect::That(lost_at_once)),
        get("greeting: half a line", greeting, Act::Half, connect()),
        get("greeting: noise", greeting, Act::Noise, fails(Protocol, Phase::Login)),
        get("greeting: a line without end", greeting, Act::Endless, fails(Protocol, Phase::Login)),
        get("greeting: lines without end", greeting, Act::EndlessLines, fails(Protocol, Phase::Login)),
        get("greeting: byte by byte", greeting, Act::Drip(Duration::from_millis(200)), connect()),
        get(
            "greeting: of a web server",
            greeting,
            Act::reply("HTTP/1.1 400 Bad Request"),
            fails(Protocol, Phase::Login),
        ),
        get("greeting: 200", greeting, Act::reply("200 hello"), fails(Protocol, Phase::Login)),
        get("greeting: 120, 220", greeting, Act::before("120 ready in 0 minutes"), Expect::Right),
        get("greeting: 120 without end", greeting, Act::Reply(b"120 soon\r\n".repeat(100_000)), connect()),
        get(
            "greeting: 421",
            greeting,
            Act::last_words("421 too many users"),
            fails(ServerBusy, Phase::Login),
        ),
        get("greeting: twice", greeting, Act::after("220 hello again"), Expect::That(broken_login)),
        Case::new("connections limited to one", Op::Crowd, Expect::Right, move || {
            base().at(greeting, Act::last_words("421 one connection per client")).from_connection(2)
        }),
        get(
            "login: refused",
            Step::Command("PASS"),
            Act::reply("530 Login incorrect."),
            fails(Authentication, Phase::Login),
        ),
        get(
            "login: user refused",
            Step::Command("USER"),
            Act::reply("530 No."),
            fails(Authentication, Phase::Login),
        ),
        get(
            "login: an account is asked for",
            Step::Command("PASS"),
            Act::reply("332 Need account."),
            fails(Authentication, Phase::Login),
        ),
        get(
            "login: 421 to PASS",
            Step::Command("PASS"),
            Act::last_words("421 too many"),
            fails(ServerBusy, Phase::Login),
        ),
        get("login: silence behind PASS", Step::Command("PASS"), Act::Silence, connect()),
        get(
            "login: C2, 1xx to USER",
            Step::Command("USER"),
            Act::before("120 wait\r\n121 wait"),
            Expect::Right,
        ),
        get(
            "login: C2, 1xx to PASS",
            Step::Command("PASS"),
            Act::before("120 wait\r\n121 wait"),
            Expect::Right,
        ),
        get(
            "login: C2, 1xx to QUIT",
            Step::Command("QUIT"),
            Act::before("120 wait\r\n121 wait"),
            Expect::Right,
        ),
        get(
            "login: C3, replies unasked",
            Step::Command("TYPE"),
            Act::Before(b"200 one\r\n".repeat(300)),
            Expect::That(broken_login),
        ),
        get(
            "login: a 632 in clear",
            Step::Command("USER"),
            Act::reply("632 AAAA"),
            fails(Protocol, Phase::Login),
        ),
        get("login: code 999", Step::Command("USER"), Act::reply("999 what"), fails(Protocol, Phase::Login)),
        get("login: code 000", Step::Command("USER"), Act::reply("000 what"), fails(Protocol, Phase::Login)),
        get("login: NULs in replies", Step::Command("USER"), Act::reply("331 \0\0\0 go \0"), Expect::Right),
        get(
            "login: lines end with LF",
            Step::Command("USER"),
            Act::Reply(b"331 go\n".to_vec()),
            Expect::Right,
        ),
        get(
            "features: lines without end",
            Step::Command("FEAT"),
            Act::EndlessLines,
            fails(Protocol, Phase::Login),
        ),
        get(
            "features: control bytes",
            Step::Command("FEAT"),
            Act::reply("211-\x1b[2J\r\n \0\x07\r\n SIZE\r\n ERET \x1b\r\n211 End"),
            Expect::Right,
        ),
        get("features: 500", Step::Command("FEAT"), Act::reply("500 what"), Expect::Right),
        at(
            "TYPE I: 504",
            Step::Command("TYPE"),
            Act::reply("504 text only"),
            fails(ErrorKind::Unsupported, Phase::Login),
        ),
        Case::new("commands ahead are dropped", Op::Get, Expect::Right, || base().drops_queued_commands())
            .limited(Duration::from_secs(10))
            .and(Duration::from_secs(8)),
        gsi("gsi: refused", base, fails(ErrorKind::Unsupported, Phase::Login)),
        gsi("gsi: C1, 335 without a token", || adat("335 "), fails(Protocol, Phase::Login)),
        gsi("gsi: C1, 335 cut short", || adat("335 ADA"), fails(Protocol, Phase::Login)),
        gsi("gsi: 335 with an empty token", || adat("335 ADAT="), fails(Protocol, Phase::Login)),
        gsi("gsi: 335 with no base64", || adat("335 ADAT=!!!!"), fails(Protocol, Phase::Login)),
        gsi(
            "gsi: 335 with a foreign token",
            || adat("335 ADAT=AAAABBBBCCCCDDDD"),
            fails(Authentication, Phase::Login),
        ),
        gsi("gsi: 235 before the handshake", || adat("235 welcome"), fails(Protocol, Phase::Login)),
        gsi(
            "gsi: C2, 1xx to AUTH and ADAT",
            || {
                base()
                    .at(Step::Command("AUTH"), Act::reply("120 wait\r\n334 go on"))
                    .at(Step::Command("ADAT"), Act::reply("120 wait\r\n121 wait\r\n535 no"))
            },
            fails(Authentication, Phase::Login),
        ),
        gsi(
            "gsi: a token without end",
            || auth().at(Step::Command("ADAT"), Act::Endless),
            fails(Protocol, Phase::Login),
        ),
        gsi("gsi: silence", || auth().at(Step::Command("ADAT"), Act::Silence), connect()),
        Case::new(
            "gsi: C5, a clear reply behind it",
            Op::Spliced { words: "200 in clear\r\n", instead: false },
            fails(Protocol, Phase::Login),
            base,
        ),
        Case::new(
            "gsi: C5, in place of a real one",
            Op::Spliced { words: "331 in clear\r\n", instead: true },
            fails(Protocol, Phase::Login),
            base,
        ),
        Case::new(
            "gsi: C4, a record of noise",
            Op::Spliced { words: "632 AAAAAAAAAAAAAAAA\r\n", instead: true },
            fails(Protocol, Phase::Login),
            base,
        ),
        Case::new(
            "gsi: an empty record",
            Op::Spliced { words: "632 \r\n", instead: true },
            fails(Protocol, Phase::Login),
            base,
        ),
    ]
}

/// A server that knows of GSI.
fn auth() -> Play {
    base().at(Step::Command("AUTH"), Act::reply("334 go on"))
}

fn adat(reply: &'static str) -> Play {
    auth().at(Step::Command("ADAT"), Act::reply(reply))
}

fn lost_at_once(done: &Done) -> Result<String, String> {
    let error = done.result.as_ref().err().ok_or("success")?;
    let fits = matches!(
        (error.kind(), error.phase()),
        (ErrorKind::Connect, Phase::Connect) | (ConnectionLost, Phase::Login)
    );
    ensure(fits && error.side() == Some(Side::Server), || "another error".into())?;
    good(&format!("{:?} {:?}", error.kind(), error.phase()))
}

/// A reply that nothing asked for: it breaks the connection, before or after the next command is on its way.
fn broken_login(done: &Done) -> Result<String, String> {
    let error = done.result.as_ref().err().ok_or("success")?;
    let fits = matches!(error.kind(), Protocol | ConnectionLost) && error.phase() == Phase::Login;
    ensure(fits && error.to_string().contains("nothing had asked for"), || "another error".into())?;
    ensure(done.server.connections() <= 3, || format!("{} logins were tried", done.server.connections()))?;
    good(&format!("{:?} Login", error.kind()))
}
