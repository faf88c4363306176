//! The library through its C interface, as a C program sees it.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

mod support;

use support::client::Client;
use support::dialogue;
use support::host::{Host, Layout, compile};
use support::mosquitto::free_port;
use support::tools::{library, need, root, run};

const LAYOUTS: [(Layout, &str); 2] = [(Layout::Classic, "classic"), (Layout::V2, "v2")];

/// Across the C interface nobody tells which port 0 became.
fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

fn config(address: SocketAddr, abi: &str) -> String {
    format!(
        "{{\"interface\": \"tcp://{address}\", \"abi\": \"{abi}\", \"path-users\": {:?}, \
          \"logging\": {{\"file-enable-log\": false, \"console-enable-log\": false}}}}",
        dialogue::users(),
    )
}

#[test]
fn events_cross_the_interface_whole_in_both_layouts() {
    let place = TempDir::new().unwrap();
    for (layout, abi) in LAYOUTS {
        // Told, and found out by itself.
        for abi in [abi, "auto"] {
            let address = free_address();
            let mut host = Host::start(&compile(layout, place.path()), &config(address, abi));
            let mut client = Client::log_in(address);
            client.must("send 0x60,20,3,7,2001-11-02T18:00:01Z,817923,::1,0,1,35");
            let (head, time) = match layout {
                Layout::Classic => (96, "2001-11-02T18:00:01Z,817923"),
                Layout::V2 => (352, "65535-255,1004724001817923000"),
            };
            let guid = "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01";
            assert_eq!(host.read(), format!("{head},20,3,7,{time},{guid},0,1,35"));
            assert_eq!(host.ask("read 50"), "code 32");
            client.must("send 0,20,3,,,,-");
            assert!(
                host.read().ends_with(":00:00:01:00:00"),
                "no data, no pdata"
            );
            let full = vec!["9"; 512].join(",");
            client.must(&format!("send 0,20,3,,,,-,{full}"));
            assert!(host.read().ends_with(&full));

            client.must("rcvloop");
            assert_eq!(host.ask("write 96 10 6 9 1004724001 817923 3"), "code 0");
            let guid = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";
            assert_eq!(
                client.event(),
                format!("96,10,6,9,2001-11-02T18:00:01Z,817923,{guid},0x00,0x01,0x02")
            );
            if layout == Layout::V2 {
                assert_eq!(host.ask("write 352 10 6 9 1004724001 817923 0"), "code 0");
                assert_eq!(
                    client.event(),
                    format!("96,10,6,9,2001-11-02T18:00:01Z,817923,{guid}")
                );
            }
            host.end();
        }
    }
}

#[test]
fn closing_is_quick_and_leaves_no_thread_with_clients_connected() {
    let place = TempDir::new().unwrap();
    let program = compile(Layout::Classic, place.path());
    let address = free_address();
    let mut host = Host::start(&program, &config(address, "auto"));
    let mut looping = Client::log_in(address);
    looping.must("rcvloop");
    let mut idle = Client::log_in(address);
    let _silent = Client::connect(address);
    let closed = host.ask("close");
    let seconds: f64 = closed.strip_prefix("closed 0 ").unwrap().parse().unwrap();
    assert!(seconds < 5.0, "{seconds}");
    assert_eq!(host.ask("threads"), "threads 1");
    assert_eq!(idle.line(), None, "closed without a word");
    while let Some(line) = looping.line() {
        assert_eq!(line, "+OK");
    }
    assert_eq!(host.ask("read 50"), "code 35");
    assert_eq!(host.ask("write 0 20 3 0 1004724001 0 0"), "code 35");
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
    host.end();
}

#[test]
fn a_client_that_vanishes_does_not_take_the_host_along() {
    let place = TempDir::new().unwrap();
    let address = free_address();
    let program = compile(Layout::V2, place.path());
    let mut host = Host::start(&program, &config(address, "v2"));
    // SIGPIPE ends this host: it has not asked to be spared.
    for _ in 0..20 {
        let mut client = Client::log_in(address);
        client.must("rcvloop");
        client.writer().shutdown(std::net::Shutdown::Both).unwrap();
        for _ in 0..20 {
            assert_eq!(host.ask("write 0 20 3 0 1004724001 0 500"), "code 0");
        }
    }
    let mut client = Client::log_in(address);
    client.must("noop");
    host.end();
}

#[test]
fn two_hundred_times_and_nothing_is_left() {
    let place = TempDir::new().unwrap();
    for (layout, abi) in LAYOUTS {
        let program = compile(layout, place.path());
        let mut host = Command::new(program);
        // Without caches per thread, and with one arena for all of them, glibc's count of the heap
        // is exact.
        let exact = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
        host.env("GLIBC_TUNABLES", exact);
        host.arg("cycle")
            .arg(library())
            .arg(config(any_port(), abi))
            .arg("200");
        println!("{abi}: {}", run(&mut host));
    }
}

#[test]
fn two_hundred_times_under_valgrind() {
    let place = TempDir::new().unwrap();
    for (layout, abi) in LAYOUTS {
        let program = compile(layout, place.path());
        let config = config(any_port(), abi);
        valgrind(
            &program,
            &["cycle", library().to_str().unwrap(), &config, "200"],
        );
    }
}

#[test]
fn the_header_is_plain_c() {
    let place = TempDir::new().unwrap();
    let source = place.path().join("header.c");
    for layout in ["", "#define VSCP_LINK_ABI_V2\n"] {
        std::fs::write(&source, format!("{layout}#include \"vscpl2drv-link.h\"\n")).unwrap();
        for standard in ["-std=c99", "-std=c11", "-std=c17"] {
            let mut gcc = Command::new(need("gcc"));
            gcc.args([
                standard,
                "-Wall",
                "-Wextra",
                "-pedantic",
                "-Werror",
                "-fsyntax-only",
            ]);
            run(gcc.arg("-I").arg(root().join("include")).arg(&source));
        }
    }
}

#[test]
fn an_event_of_zeros_is_none() {
    let place = TempDir::new().unwrap();
    let address = free_address();
    let program = compile(Layout::Classic, place.path());
    let mut host = Host::start(&program, &config(address, "classic"));
    let mut client = Client::log_in(address);
    assert_eq!(host.ask("zeros"), "code 0");
    assert_eq!(host.ask("write 0 0 0 0 1004724001 0 0"), "code 0");
    assert_eq!(client.must("cdta")[0], "1", "the other one has a GUID");
    host.end();
}

#[test]
fn two_drivers_at_once() {
    let place = TempDir::new().unwrap();
    for (layout, abi) in LAYOUTS {
        let program = compile(layout, place.path());
        let (one, two) = (config(free_address(), abi), config(free_address(), abi));
        valgrind(
            &program,
            &["twice", library().to_str().unwrap(), &one, &two],
        );
    }
}

#[test]
fn calls_that_no_host_should_make() {
    let place = TempDir::new().unwrap();
    for (layout, abi) in LAYOUTS {
        let program = compile(layout, place.path());
        let config = config(any_port(), abi);
        valgrind(&program, &["misuse", library().to_str().unwrap(), &config]);
    }
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Any error, and any block that nobody holds any more, fails. Blocks that are held by a pointer
/// into their middle, as the time zone of the log lines is, are not lost.
fn valgrind(program: &Path, words: &[&str]) {
    let mut valgrind = Command::new(need("valgrind"));
    valgrind.args(["--quiet", "--leak-check=full", "--error-exitcode=9"]);
    valgrind.arg("--errors-for-leak-kinds=definite,indirect");
    run(valgrind.arg(program).args(words));
}
