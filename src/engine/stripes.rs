//! Which stripe carries which piece of a put.

use bytes::Bytes;

use super::data::Layout;

/// A piece of a block, and the stripe that carries it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) stripe: usize,
    pub(super) offset: u64,
    pub(super) data: Bytes,
}

/// Hands blocks to the stripes of a put.
#[derive(Debug)]
pub(super) struct Dealer {
    layout: Layout,
    stripes: usize,
    next: usize,
}

impl Dealer {
    pub(super) fn new(layout: Layout, stripes: usize) -> Self {
        Self { layout, stripes: stripes.max(1), next: 0 }
    }

    /// Cuts a block that is not empty into pieces.
    pub(super) fn deal(&mut self, offset: u64, data: Bytes) -> Vec<Piece> {
        let unit = match self.layout {
            Layout::Turns => {
                let stripe = self.next;
                self.next = (self.next + 1) % self.stripes;
                return vec![Piece { stripe, offset, data }];
            }
            Layout::Blocks(bytes) => bytes.max(1),
            Layout::Parts { size } => size.div_ceil(count(self.stripes)).max(1),
        };
        let mut pieces = Vec::new();
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let room = usize::try_from(unit - at % unit).unwrap_or(usize::MAX);
            let data = rest.split_to(room.min(rest.len()));
            let number = at / unit;
            let stripe = match self.layout {
                // What lies behind the announced size goes with the last part.
                Layout::Parts { .. } => usize::try_from(number).unwrap_or(usize::MAX).min(self.stripes - 1),
                _ => usize::try_from(number % count(self.stripes)).unwrap_or(0),
            };
            let length = count(data.len());
            pieces.push(Piece { stripe, offset: at, data });
            at += length;
        }
        pieces
    }

    /// Cuts the first block so that every stripe has a piece; nothing for one with fewer bytes than stripes.
    ///
    /// A stripe opens its parallel connections when it has something to send. One that had nothing before the end would
    /// open them with the end registered, which C does not survive when one is refused (C9). So this one block goes by turns
    /// whatever the layout is; every byte has its offset with it.
    pub(super) fn deal_first(&mut self, offset: u64, data: Bytes) -> Option<Vec<Piece>> {
        let share = data.len() / self.stripes;
        if share == 0 {
            return None;
        }
        let (mut at, mut rest) = (offset, data);
        let pieces = (0..self.stripes).map(|stripe| {
            let data =
                if stripe + 1 == self.stripes { std::mem::take(&mut rest) } else { rest.split_to(share) };
            let piece = Piece { stripe, offset: at, data };
            at += count(piece.data.len());
            piece
        });
        Some(pieces.collect())
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(pieces: &[Piece]) -> Vec<(usize, u64, usize)> {
        pieces.iter().map(|piece| (piece.stripe, piece.offset, piece.data.len())).collect()
    }

    #[test]
    fn blocks_take_turns() {
        let mut dealer = Dealer::new(Layout::Turns, 2);
        let mut dealt = Vec::new();
        for at in 0..3 {
            dealt.extend(dealer.deal(at * 10, Bytes::from(vec![0; 10])));
        }
        assert_eq!(shape(&dealt), [(0, 0, 10), (1, 10, 10), (0, 20, 10)]);
    }

    #[test]
    fn layouts_go_by_the_place_in_the_file() {
        let data = Bytes::from((0..25_u8).collect::<Vec<_>>());
        let pieces = Dealer::new(Layout::Blocks(10), 2).deal(5, data.clone());
        assert_eq!(shape(&pieces), [(0, 5, 5), (1, 10, 10), (0, 20, 10)]);
        assert_eq!(pieces[1].data[0], 5);
        let pieces = Dealer::new(Layout::Parts { size: 21 }, 2).deal(0, data);
        assert_eq!(shape(&pieces), [(0, 0, 11), (1, 11, 11), (1, 22, 3)]);
        let nothing = Dealer::new(Layout::Parts { size: 0 }, 3).deal(7, Bytes::from_static(b"x"));
        assert_eq!(shape(&nothing), [(2, 7, 1)]);
    }

    #[test]
    fn the_first_block_reaches_every_stripe() {
        let mut dealer = Dealer::new(Layout::Turns, 3);
        let pieces = dealer.deal_first(100, Bytes::from(vec![0; 10])).unwrap();
        assert_eq!(shape(&pieces), [(0, 100, 3), (1, 103, 3), (2, 106, 4)]);
        assert!(dealer.deal_first(0, Bytes::from_static(b"ab")).is_none());
    }
}
