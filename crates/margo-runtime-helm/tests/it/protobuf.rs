//! As much of Kubernetes' binary form as secrets need, which is how Helm writes its releases.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What begins every object, before the envelope.
const MAGIC: &[u8] = b"k8s\0";

/// An object from the body of a request: JSON, or a secret in binary form.
pub(crate) fn object(body: &[u8]) -> Value {
    let Some(envelope) = body.strip_prefix(MAGIC) else { return serde_json::from_slice(body).unwrap() };
    let secret = field(envelope, 2);
    let metadata = field(secret, 1);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let labels: BTreeMap<_, _> = pairs(metadata, 11).map(|(name, value)| (name, text(value))).collect();
    let data: BTreeMap<_, _> = pairs(secret, 2).map(|(name, value)| (name, STANDARD.encode(value))).collect();
    json!({
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": text(field(metadata, 1)), "labels": labels},
        "data": data,
        "type": text(field(secret, 3)),
    })
}

/// The entries of a map, which are messages of a name and a value.
fn pairs(message: &[u8], number: u64) -> impl Iterator<Item = (String, &[u8])> {
    let entries = fields(message).into_iter().filter(move |(found, _)| *found == number);
    entries.map(|(_, entry)| (String::from_utf8(field(entry, 1).to_vec()).unwrap(), field(entry, 2)))
}

/// The last field of a number, empty if there is none.
fn field(message: &[u8], number: u64) -> &[u8] {
    fields(message).into_iter().rfind(|(found, _)| *found == number).map_or(&[], |(_, content)| content)
}

/// Every field that has a length.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        match tag & 7 {
            0 => drop(varint(&mut message)),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                let (content, rest) = message.split_at(length);
                fields.push((tag >> 3, content));
                message = rest;
            }
            other => panic!("a field of type {other}"),
        }
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 {
            return value;
        }
    }
}
