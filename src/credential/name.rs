//! Distinguished names in the form that Globus uses: `/O=Grid/CN=Somebody`.

use openssl::asn1::Asn1Object;
use openssl::nid::Nid;
use openssl::version;

use super::der::{OID, SEQUENCE, SET, Values, dotted, inside};

/// `GeneralString`, the one kind of text that OpenSSL shows by fours.
const GENERAL_STRING: u8 = 0x1b;

/// A name, from its DER, as `X509_NAME_oneline` writes it. Globus compares these strings, so every byte counts.
///
/// OpenSSL 3 escapes slashes and plus signs in values and joins the parts of one element by a plus sign; before, it did
/// neither. `None` for what is no name.
pub(super) fn oneline(der: &[u8]) -> Option<String> {
    write(der, version::number() >= 0x3000_0000)
}

fn write(der: &[u8], since_3: bool) -> Option<String> {
    let mut text = String::new();
    for (tag, element) in inside(der, SEQUENCE)? {
        if tag != SET {
            return None;
        }
        for (index, (tag, attribute)) in Values(element).enumerate() {
            if tag != SEQUENCE {
                return None;
            }
            let mut attribute = Values(attribute);
            let kind = attribute.tagged(OID)?;
            let (tag, value) = attribute.next()?;
            text.push(if since_3 && index > 0 { '+' } else { '/' });
            text.push_str(&short_name(&dotted(kind)?));
            text.push('=');
            write_value(&mut text, tag, value, since_3);
        }
    }
    Some(text)
}

fn short_name(oid: &str) -> String {
    let known = Asn1Object::from_str(oid).ok().map(|object| object.nid()).filter(|&nid| nid != Nid::UNDEF);
    match known.and_then(|nid| nid.short_name().ok()) {
        Some(name) => name.to_owned(),
        None => oid.to_owned(),
    }
}

fn write_value(text: &mut String, tag: u8, value: &[u8], since_3: bool) {
    // Of text that is four bytes per character and needs one, that one is shown.
    let fours = tag == GENERAL_STRING && value.len().is_multiple_of(4);
    let wide = value.chunks(4).any(|four| four.iter().take(3).any(|&byte| byte != 0));
    for (at, &byte) in value.iter().enumerate() {
        if fours && !wide && at % 4 != 3 {
            continue;
        }
        match byte {
            b'/' | b'+' if since_3 => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02X}")),
        }
    }
}

/// The last element of a name, if it is one common name: its value, and the DER of the name without it.
pub(super) fn split_last_common_name(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let elements = inside(der, SEQUENCE)?;
    let all = elements.0;
    let (_, last) = elements.last()?;
    let mut attributes = inside(last, SEQUENCE)?;
    let is_common_name = attributes.tagged(OID)? == COMMON_NAME;
    let (_, value) = attributes.next()?;
    if !is_common_name || Values(last).count() != 1 {
        return None;
    }
    let length = super::der::value(SET, last).len();
    let rest = all.get(..all.len().checked_sub(length)?)?;
    Some((value.to_vec(), super::der::value(SEQUENCE, rest)))
}

/// A name with one more common name at its end.
pub(super) fn with_common_name(der: &[u8], name: &str) -> Option<Vec<u8>> {
    use super::der::{UTF8_STRING, value};
    let mut elements = inside(der, SEQUENCE)?.0.to_vec();
    let attribute = [value(OID, COMMON_NAME), value(UTF8_STRING, name.as_bytes())].concat();
    elements.extend(value(SET, &value(SEQUENCE, &attribute)));
    Some(value(SEQUENCE, &elements))
}

/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

#[cfg(test)]
mod tests {
    use super::super::der::value;
    use super::*;

    fn attribute(oid: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
        value(SEQUENCE, &[value(OID, oid), value(tag, text)].concat())
    }

    #[test]
    fn names_as_openssl_writes_them() {
        let name = value(
            SEQUENCE,
            &[
                value(SET, &attribute(&[0x55, 4, 10], 0x0c, "Läb/x+y".as_bytes())),
                value(
                    SET,
                    &[
                        attribute(COMMON_NAME, 0x13, b"a\n~\x7f"),
                        attribute(&[0x2a, 3, 4], 0x1b, b"\0\0\0A\0\0\0B"),
                    ]
                    .concat(),
                ),
            ]
            .concat(),
        );
        assert_eq!(write(&name, true).unwrap(), r"/O=L\xC3\xA4b\/x\+y/CN=a\x0A~\x7F+1.2.3.4=AB");
        assert_eq!(write(&name, false).unwrap(), r"/O=L\xC3\xA4b/x+y/CN=a\x0A~\x7F/1.2.3.4=AB");
        assert_eq!(write(b"rubbish", true), None);
    }

    #[test]
    fn a_common_name_more_and_less() {
        let name = value(SEQUENCE, &value(SET, &attribute(COMMON_NAME, 0x13, b"Tester")));
        let longer = with_common_name(&name, "12345").unwrap();
        assert_eq!(write(&longer, true).unwrap(), "/CN=Tester/CN=12345");
        assert_eq!(split_last_common_name(&longer), Some((b"12345".to_vec(), name)));
    }
}
