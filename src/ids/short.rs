//! An id in 22 characters instead of 36, for keys that hold nothing but ids and names. The order of ids is that of their texts.

use uuid::Uuid;

/// Six bits each, in the order of their bytes.
const LETTERS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
const LENGTH: u32 = 22;

pub(super) fn print(id: Uuid) -> String {
    let id = id.as_u128();
    // 22 letters hold 132 bits: the last one has two of the id, and four of none.
    let six = |at: u32| match 122_u32.checked_sub(6 * at) {
        Some(right) => id >> right,
        None => id << 4,
    };
    (0..LENGTH).filter_map(|at| LETTERS.get(usize::try_from(six(at) & 63).ok()?)).map(|b| char::from(*b)).collect()
}

pub(super) fn parse(text: &str) -> Option<Uuid> {
    let mut id: u128 = 0;
    for (at, letter) in text.bytes().enumerate() {
        let six = u128::try_from(LETTERS.iter().position(|known| *known == letter)?).ok()?;
        id = if at == 21 { id << 2 | six >> 4 } else { id << 6 | six };
    }
    let id = Uuid::from_u128(id);
    (print(id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_comes_back_and_their_order_stays() {
        let mut ids: Vec<Uuid> = (0..128).map(|bit| Uuid::from_u128(1 << bit)).collect();
        ids.extend(
            [u128::MIN, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, 3, 12, 0xff << 120].map(Uuid::from_u128),
        );
        for id in &ids {
            assert_eq!((print(*id).len(), parse(&print(*id))), (22, Some(*id)), "{id}");
        }
        ids.sort_unstable();
        assert!(ids.iter().map(|id| print(*id)).is_sorted());
        for text in ["", "-", &"-".repeat(21), &"-".repeat(23), &"z".repeat(22), &"ü".repeat(11), &"!".repeat(22)] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
