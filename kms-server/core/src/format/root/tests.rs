use super::*;
use crate::codec::hex;
use crate::name::{KeyId, SecretId, VersionNumber};
use proptest::prelude::*;

fn set_hash() -> SetHash {
    SetHash::new(&SetHashKey::take_bytes(&mut [7; 32]))
}

#[test]
fn an_element_is_the_documented_hmac() {
    // made with Python's hmac module over the documented bytes
    let key = RecordKey::shred(SecretId([3; 16]));
    let hash = crate::cipher::sha256(&[b"plaintext"]);
    let element = set_hash().element(&key, Revision(9), &hash);
    assert_eq!(hex(&element.0), ELEMENT);
    let mut root = Root::new([0; 32]);
    root.add(&key, &element);
    root.add(&key, &element);
    assert_eq!(hex(root.sum(Shard::of(&key)).as_bytes()), TWICE);
}

const ELEMENT: &str = "d25023f1fb61903cf2808cc219f71787fa2c4d915f8b2bbca782599b24389d3f";
const TWICE: &str = "a4a047e3f6c32079e501198433ee2f0ff4589b22bf1657794f04b33648713a7e";

#[test]
fn every_input_of_an_element_counts() {
    let key = RecordKey::shred(SecretId([3; 16]));
    let base = set_hash().element(&key, Revision(9), &[1; 32]);
    let others = [
        set_hash().element(&RecordKey::shred(SecretId([4; 16])), Revision(9), &[1; 32]),
        set_hash().element(&RecordKey::dataset(KeyId([3; 16])), Revision(9), &[1; 32]),
        set_hash().element(&key, Revision(8), &[1; 32]),
        set_hash().element(&key, Revision(9), &[2; 32]),
        SetHash::new(&SetHashKey::take_bytes(&mut [8; 32])).element(&key, Revision(9), &[1; 32]),
    ];
    assert!(others.iter().all(|other| *other != base));
}

#[test]
fn shards_are_ranges_that_trees_do_not_share() {
    let mut owner = [None; SHARDS];
    for tree in Tree::ALL {
        for shard in Shard::of_tree(*tree) {
            let slot = &mut owner[usize::from(shard.number())];
            let of_operators = |slot: Option<Tree>| slot.is_some_and(Tree::is_of_operators);
            let shared = match (*slot, tree) {
                (None, _) | (Some(Tree::Dataset), Tree::Version) => true,
                (slot, tree) => of_operators(slot) && tree.is_of_operators(),
            };
            assert!(shared, "{tree:?} and {slot:?} share shard {shard:?}");
            *slot = Some(*tree);
        }
        let mut last = None;
        for first in 0..=u8::MAX {
            let shard = Shard::of(&RecordKey {
                tree: *tree,
                key: [first, 0].into(),
            });
            assert!(last <= Some(shard), "{tree:?} {first}");
            assert!(Shard::of_tree(*tree).any(|s| s == shard));
            last = Some(shard);
        }
        assert_eq!(last, Shard::of_tree(*tree).last());
    }
}

#[test]
fn a_dataset_and_its_versions_lie_in_one_shard() {
    let id = KeyId([0xAB; 16]);
    let version = RecordKey::version(id, VersionNumber::FIRST);
    assert_eq!(Shard::of(&RecordKey::dataset(id)), Shard::of(&version));
}

#[test]
fn sums_carry_and_borrow_over_all_bytes() {
    let one = {
        let mut bytes = [0; 32];
        bytes[31] = 1;
        Element(bytes)
    };
    let mut sum = Sum([0xFF; 32]);
    sum.add(&one);
    assert_eq!(sum, Sum::default());
    sum.remove(&one);
    assert_eq!(sum, Sum([0xFF; 32]));
}

fn element() -> impl Strategy<Value = Element> {
    // many 0x00 and 0xFF bytes, where carries travel far
    prop::array::uniform32(prop_oneof![Just(0), Just(0xFF), any::<u8>()]).prop_map(Element)
}

proptest! {
    #[test]
    fn the_order_of_adding_and_removing_does_not_matter(
        elements in prop::collection::vec(element(), 1..20),
        seed in any::<prop::sample::Index>(),
    ) {
        let kept = seed.index(elements.len());
        let mut forward = Sum::default();
        elements.iter().for_each(|e| forward.add(e));
        let mut backward = Sum::default();
        elements.iter().rev().for_each(|e| backward.add(e));
        prop_assert_eq!(forward, backward);
        // removing all others, in any order, leaves exactly the kept one
        for (i, element) in elements.iter().enumerate() {
            if i != kept {
                forward.remove(element);
            }
        }
        prop_assert_eq!(forward.0, elements[kept].0);
    }

    #[test]
    fn roots_survive_encoding(
        numbers in any::<(u64, u64, u64, u64)>(),
        seals in any::<[u8; 32]>(),
        records in prop::collection::vec((any::<[u8; 16]>(), element()), 0..20),
    ) {
        let mut root = Root::new(seals);
        root.revision = Revision(numbers.0);
        root.last_change = numbers.1;
        root.logged_change = numbers.2;
        root.logged_sequence = numbers.3;
        for (id, element) in records {
            root.add(&RecordKey::shred(SecretId(id)), &element);
        }
        let bytes = root.encode();
        prop_assert_eq!(bytes.len(), ROOT_LEN);
        prop_assert_eq!(Root::decode(&bytes).unwrap(), root);
        prop_assert!(Root::decode(&bytes[..bytes.len() - 1]).is_err());
        prop_assert!(Root::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}
