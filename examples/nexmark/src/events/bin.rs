//! The plain encoding: numbers as i64 big-endian, strings as a u16 big-endian length and UTF-8 bytes.

use super::{Auction, Bid, Person};
use kappa_core::codec::CodecError;

/// An event with a plain encoding.
pub trait BinEvent: Sized {
    /// Appends the event's bytes.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads an event from all of `bytes`.
    fn read(bytes: &[u8]) -> Result<Self, CodecError>;

    /// Whether `read` would succeed.
    fn check(bytes: &[u8]) -> Result<(), CodecError> {
        Self::read(bytes).map(drop)
    }
}

impl BinEvent for Person {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        number(out, self.id);
        for text in [&self.name, &self.email_address, &self.credit_card, &self.city, &self.state] {
            string(out, text)?;
        }
        number(out, self.date_time);
        string(out, &self.extra)
    }

    fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut input = Input(bytes);
        let person = Self {
            id: input.number()?,
            name: input.string()?,
            email_address: input.string()?,
            credit_card: input.string()?,
            city: input.string()?,
            state: input.string()?,
            date_time: input.number()?,
            extra: input.string()?,
        };
        input.end(person)
    }
}

impl BinEvent for Auction {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        number(out, self.id);
        string(out, &self.item_name)?;
        string(out, &self.description)?;
        for value in [self.initial_bid, self.reserve, self.date_time, self.expires, self.seller, self.category] {
            number(out, value);
        }
        string(out, &self.extra)
    }

    fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut input = Input(bytes);
        let auction = Self {
            id: input.number()?,
            item_name: input.string()?,
            description: input.string()?,
            initial_bid: input.number()?,
            reserve: input.number()?,
            date_time: input.number()?,
            expires: input.number()?,
            seller: input.number()?,
            category: input.number()?,
            extra: input.string()?,
        };
        input.end(auction)
    }
}

impl BinEvent for Bid {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        for value in [self.auction, self.bidder, self.price] {
            number(out, value);
        }
        string(out, &self.channel)?;
        string(out, &self.url)?;
        number(out, self.date_time);
        string(out, &self.extra)
    }

    fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut input = Input(bytes);
        let bid = Self {
            auction: input.number()?,
            bidder: input.number()?,
            price: input.number()?,
            channel: input.string()?,
            url: input.string()?,
            date_time: input.number()?,
            extra: input.string()?,
        };
        input.end(bid)
    }

    fn check(bytes: &[u8]) -> Result<(), CodecError> {
        let mut input = Input(bytes);
        // As `read`: three numbers, two strings, a number, a string.
        input.skip_numbers(3)?;
        input.text()?;
        input.text()?;
        input.skip_numbers(1)?;
        input.text()?;
        input.end(())
    }
}

fn number(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn string(out: &mut Vec<u8>, text: &str) -> Result<(), CodecError> {
    let length = u16::try_from(text.len()).map_err(|_| CodecError::new("a string of more than 65,535 bytes"))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn skip_numbers(&mut self, count: usize) -> Result<(), CodecError> {
        self.0 = self.0.get(count * size_of::<i64>()..).ok_or_else(too_short)?;
        Ok(())
    }

    fn number(&mut self) -> Result<i64, CodecError> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(too_short)?;
        self.0 = rest;
        Ok(i64::from_be_bytes(*head))
    }

    fn string(&mut self) -> Result<String, CodecError> {
        self.text().map(str::to_owned)
    }

    fn text(&mut self) -> Result<&'b str, CodecError> {
        let (length, rest) = self.0.split_first_chunk().ok_or_else(too_short)?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(too_short)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(CodecError::new)
    }

    fn end<T>(&self, event: T) -> Result<T, CodecError> {
        if self.0.is_empty() {
            Ok(event)
        } else {
            Err(CodecError::new(format_args!("{} bytes follow the last field", self.0.len())))
        }
    }
}

fn too_short() -> CodecError {
    CodecError::new("the bytes end within a field")
}
