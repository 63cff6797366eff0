//! Which port devices and their manager meet at.

use std::net::{SocketAddr, TcpListener};

use crate::program::until;
use crate::secure::{LIFETIME, Secure, now};

/// R-B-004, R-D-001: device and manager meet at port 443, which nobody has to name, and have nothing to remark.
#[tokio::test]
async fn a_device_and_its_manager_meet_at_port_443() {
    // Of this process alone: every address below 127.0.0.0/8 is this machine's.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let at = |area: u8| SocketAddr::from(([127, area | (high & 63), middle, low], 443));
    let (tls, mutual) = (at(64), at(128));
    if let Err(error) = TcpListener::bind(tls).and_then(|_| TcpListener::bind(mutual)) {
        eprintln!("SKIPPED: nobody may listen on port 443 here: {error}");
        return;
    }
    let mut secure = Secure::idle("");
    let config = secure.plant.folder().join("margo-wfm.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text
        .replace(&format!("https://{}", secure.tls), &format!("https://{}", tls.ip()))
        .replace(&secure.tls.to_string(), &tls.to_string())
        .replace(&secure.mutual.to_string(), &mutual.to_string());
    std::fs::write(&config, text).unwrap();
    secure.domain.rotate_server(&[tls.ip().to_string()], now(), LIFETIME).unwrap();
    secure.plant.up().await;
    (secure.tls, secure.mutual) = (tls, mutual);
    let mut devices = [secure.rc3("line-3").await, secure.rc2("pack-5").await];
    for device in &mut devices {
        let configuration = device.read_configuration().replace(":443\"", "\"");
        assert!(!configuration.contains("443"), "{configuration}");
        device.configure(&configuration);
        device.start();
    }
    for device in ["line-3", "pack-5"] {
        let id = secure.plant.deploy_pumps(device).await;
        secure.plant.until_converged(&id).await;
    }
    for mut device in devices {
        device.terminate().await;
        assert!(!device.log().contains("port 443 only"), "{}", device.log());
    }
    let log = std::fs::read_to_string(secure.plant.folder().join("manager.log")).unwrap();
    assert!(!log.contains("port 443 only"), "{log}");
}

/// R-B-004, R-D-001: another port can be what address translation or a laboratory needs, and both sides say it when they
/// start. The pre-draft names no port.
#[tokio::test]
async fn another_port_is_told_at_the_start() {
    let secure = Secure::start("").await;
    let told = |port: u16| format!("port {port} is used, and the specification has port 443 only");
    let log = std::fs::read_to_string(secure.plant.folder().join("manager.log")).unwrap();
    for port in [secure.tls.port(), secure.mutual.port()] {
        assert!(log.contains(&told(port)), "{log}");
    }
    let mut devices = [
        (secure.rc3("line-3").await, Some(secure.mutual)),
        (secure.rc2("pack-5").await, Some(secure.tls)),
        (secure.pre_draft("press-7").await, None),
    ];
    for (device, _) in &mut devices {
        device.start();
    }
    for (device, address) in &mut devices {
        until("it calls", async || device.log().contains("\"started\"").then_some(())).await;
        device.terminate().await;
        match address {
            Some(address) => assert!(device.log().contains(&told(address.port())), "{}", device.log()),
            None => assert!(!device.log().contains("port 443 only"), "{}", device.log()),
        }
    }
}
