//! Bad files: each an error that says what is wrong and where, whatever the file holds.

use prost::Message;

use super::super::proto::{BundleEntryProto, BundleHeaderProto, VersionDef};
use super::super::{table, v1, v2};
use super::written::{
    Table, delimited, index, listed, masked_crc, one_shard, slice, v1_file, varint, zeros,
};
use super::{bytes_of, detect};
use crate::weights::checkpoint::{Checkpoint, Format, Malformed};
use crate::weights::{Tensor, WeightsError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::slice::from_ref;

fn said(error: &Malformed, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` in: {text}");
    }
}

fn in_table(bytes: &Bytes, parts: &[&str]) {
    said(&table::entries(bytes).err().unwrap(), parts);
}

fn in_v1(bytes: &Bytes, parts: &[&str]) {
    said(&v1::read(bytes).unwrap_err(), parts);
}

/// What is wrong with an index, or with the one shard of as many zeros.
fn in_v2(index: &Bytes, zeros: usize, parts: &[&str]) {
    let error = v2::read(index, |_| Ok(vec![0; zeros].into())).unwrap_err();
    let (v2::BundleError::Index(reason) | v2::BundleError::Shard { reason, .. }) = error else {
        panic!("{error}");
    };
    said(&reason, parts);
}

#[test]
fn cut_off_anywhere_is_an_error_that_says_so() {
    let v1_file = bytes_of("v1_types.ckpt");
    for length in (0..v1_file.len()).step_by(11).chain(0..100) {
        let cut = v1_file.slice(..length);
        let error = v1::read(&cut).unwrap_err();
        let expected = if length < 48 {
            "at least 48 bytes"
        } else {
            "magic number"
        };
        said(&error, &[expected]);
        if length > 8 {
            assert_eq!(detect(&cut), Some(Format::TensorFlowV1), "{length}");
        }
        let parsed = Checkpoint::parse(cut, Path::new("cut.ckpt")).unwrap_err();
        assert!(parsed.to_string().contains("cut.ckpt"));
    }
    let index = bytes_of("v2_objects.index");
    let shard = bytes_of("v2_objects.data-00000-of-00001");
    for length in 0..index.len() {
        let cut = index.slice(..length);
        assert!(v2::read(&cut, |_| Ok(shard.clone())).is_err(), "{length}");
        if length > 8 {
            assert_eq!(detect(&cut), Some(Format::TensorFlowV2), "{length}");
        }
    }
    // The end of the shard is the graph of objects, which is not read.
    let used = 4 * (4 * 8 + 8 + 8 * 3 + 3) + 8;
    for length in 0..shard.len() {
        let found = v2::read(&index, |_| Ok(shard.slice(..length)));
        let Err(v2::BundleError::Shard { reason, .. }) = found else {
            assert!(length >= used, "{length}");
            continue;
        };
        assert!(length < used && reason.tensor.is_some() && reason.offset.is_some());
        said(&reason, &[&format!("found {length}")]);
    }
}

#[test]
fn a_changed_byte_is_found_by_its_crc() {
    let v1_file = bytes_of("v1_snappy.ckpt");
    let mut seen = 0;
    for at in (0..v1_file.len() - 48).step_by(101) {
        let mut changed = v1_file.to_vec();
        changed[at] ^= 1 << (at % 8);
        match v1::read(&changed.into()) {
            Ok(_) => seen += 1,
            Err(error) => said(&error, &["CRC-32C", "at byte"]),
        }
    }
    // The block of blocks' metadata is not read: 13 bytes.
    assert!(seen <= 1, "{seen} changed bytes were not found");
    let index = bytes_of("v2_slim.index");
    let shard = bytes_of("v2_slim.data-00000-of-00001");
    for at in (0..shard.len()).step_by(97) {
        let mut changed = shard.to_vec();
        changed[at] ^= 0x10;
        let changed = Bytes::from(changed);
        let error = v2::read(&index, |_| Ok(changed.clone())).unwrap_err();
        let v2::BundleError::Shard { shard, reason } = error else {
            panic!("{error}");
        };
        assert_eq!(shard.to_string(), ".data-00000-of-00001");
        let offset = usize::try_from(reason.offset.unwrap()).unwrap();
        assert!(offset <= at, "{reason}");
        assert!(reason.tensor.is_some(), "{reason}");
        said(&reason, &["expected the masked CRC-32C"]);
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |ending: &str| folder.path().join(format!("model{ending}"));
    std::fs::write(place(".index"), &index).unwrap();
    let mut changed = shard.to_vec();
    changed[1000] ^= 1;
    std::fs::write(place(".data-00000-of-00001"), changed).unwrap();
    let error = Checkpoint::read(&place("")).unwrap_err();
    let WeightsError::Malformed { path, format, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(path, &place(".data-00000-of-00001"));
    assert_eq!(*format, Format::TensorFlowV2);
}

/// Any byte changed, with every CRC made right again: an error or other numbers, and never a panic.
#[test]
fn a_changed_byte_behind_a_right_crc_is_no_reason_to_stop() {
    for (file, read) in [
        ("v1_types.ckpt", true),
        ("v2_types.index", false),
        ("v2_snappy.index", false),
    ] {
        let whole = bytes_of(file);
        let blocks = blocks(&whole);
        for &(start, end) in &blocks {
            for at in (start..end).filter(|at| at - start < 600 || at % 97 == 0) {
                for value in [0, 1, 0x7f, 0x80, 0xff, whole[at] ^ 4] {
                    let mut changed = whole.to_vec();
                    changed[at] = value;
                    let crc = masked_crc(&changed[start..=end]);
                    changed[end + 1..end + 5].copy_from_slice(&crc.to_le_bytes());
                    let changed = Bytes::from(changed);
                    let tensors = if read {
                        v1::read(&changed).ok()
                    } else {
                        v2::read(&changed, |_| Ok(vec![0; 20_000].into())).ok()
                    };
                    let Some((tensors, _)) = tensors else {
                        continue;
                    };
                    tensors.values().for_each(|tensor| drop(tensor.values()));
                }
            }
        }
    }
}

/// Where the blocks of a good table lie.
fn blocks(whole: &Bytes) -> Vec<(usize, usize)> {
    (0..whole.len() - 48)
        .scan(0, |start, end| {
            let crc = whole.get(end + 1..end + 5)?;
            let ends = end > *start && *crc == masked_crc(&whole[*start..=end]).to_le_bytes();
            let found = (*start, end);
            if ends {
                *start = end + 5;
            }
            Some(ends.then_some(found))
        })
        .flatten()
        .collect()
}

#[test]
fn blocks_lie_in_the_file_and_behind_one_another() {
    let entry = Table::restarted(&Table::entries(&[(b"a", b"1")]));
    let with = |offset: u64, size: u64| {
        let mut table = Table::default();
        table.raw(&entry, 0);
        let handle = [varint(offset), varint(size)].concat();
        table.name(b"a", &handle).finish()
    };
    assert!(table::entries(&with(0, entry.len() as u64)).is_ok());
    in_table(&with(0, 10_000), &["within", "10000 bytes from byte 0"]);
    in_table(&with(u64::MAX, 4), &["within", "at byte"]);
    in_table(&with(4, u64::MAX), &["within", "at byte"]);
    in_table(&with(0, entry.len() as u64 - 1), &["CRC-32C"]);
    let mut table = Table::default();
    let handle = table.raw(&entry, 0);
    let twice = table.name(b"a", &handle).name(b"b", &handle).finish();
    in_table(
        &twice,
        &["expected a block after byte", "found one at byte 0"],
    );
    let long = Table::default()
        .block(b"a", &entry, 0)
        .name(b"b", &[0xff; 11]);
    in_table(&long.finish(), &["at most 64 bits"]);
    let outside = [varint(0), varint(0), varint(u64::MAX), varint(1)].concat();
    in_table(&Table::default().footer(&outside), &["within the"]);
    let unknown = Table::default().block(b"a", &entry, 7).finish();
    in_table(&unknown, &["compression", "found 7"]);
}

#[test]
fn entries_lie_in_their_block_and_in_order() {
    let of_block = |block: &[u8]| Table::default().block(b"z", block, 0).finish();
    let of_entries = |entries: &[u8]| of_block(&Table::restarted(entries));
    in_table(&of_block(&[]), &["restart points", "0 bytes"]);
    in_table(&of_block(&[0, 0, 0, 0]), &["restart points", "with 0"]);
    in_table(&of_block(&[0xff; 8]), &["restart points", "4294967295"]);
    in_table(&of_entries(&[0, 1]), &["expected 1 bytes, found 0"]);
    in_table(
        &of_entries(&[1, 1, 0, b'a']),
        &["shares at most the 0 bytes"],
    );
    in_table(
        &of_entries(&[0, 9, 0, b'a']),
        &["expected 9 bytes, found 1"],
    );
    in_table(
        &of_entries(&[0, 1, 9, b'a']),
        &["expected 9 bytes, found 0"],
    );
    let huge = [&[0, 1][..], &varint(u64::MAX), b"a"].concat();
    in_table(&of_entries(&huge), &["expected 18446744073709551615 bytes"]);
    let entries = Table::entries(&[(b"b", b""), (b"a", b"")]);
    in_table(&of_entries(&entries), &["`a` is there out of order"]);
    let entries = Table::entries(&[(b"a", b""), (b"a", b"")]);
    in_table(&of_entries(&entries), &["`a` is there twice"]);
    let block = Table::restarted(&Table::entries(&[(b"a", b"")]));
    let twice = Table::default()
        .block(b"a", &block, 0)
        .block(b"b", &block, 0);
    in_table(&twice.finish(), &["`a` is there twice"]);
    // Each key is the one before it and one byte more: together they grow with the square of the block's length.
    let mut growing = vec![];
    for length in 0..6000 {
        growing.extend([varint(length), varint(1), varint(0), vec![b'k']].concat());
    }
    in_table(
        &of_entries(&growing),
        &["keys of at most 16777216 bytes in all"],
    );
}

#[test]
fn a_snappy_bomb_is_refused_before_memory_is_taken() {
    let block = |bytes: &[u8]| Table::default().block(b"a", bytes, 1).finish();
    // Claims 4 GiB.
    let claim = [varint(u64::from(u32::MAX)), vec![0; 64]].concat();
    in_table(
        &block(&claim),
        &["snappy: expected at most 22 times", "4294967295"],
    );
    in_table(&block(&varint(u64::MAX)), &["snappy", "at byte 0"]);
    in_table(&block(&[]), &["snappy"]);
    // Copies from before the beginning.
    in_table(&block(&[20, 0xfe, 0xff, 0xff, 0, 0, 0]), &["snappy"]);
}

#[test]
fn what_a_v1_file_lists_is_in_it_once_and_whole() {
    let float = |count: usize| delimited(5, &vec![0; 4 * count]);
    let (upper, lower) = (slice(&[(0, 2), (0, -1)]), slice(&[(2, 3), (0, -1)]));
    let both = listed("w", 1, &[5, 4], &[upper.clone(), lower.clone()]);
    let upper_half = || ("w", upper.clone(), float(8));
    let good = [upper_half(), ("w", lower.clone(), float(12))];
    assert!(v1::read(&v1_file(from_ref(&both), &good)).is_ok());

    in_v1(&Table::of(&[(b"a", b"")]), &["lists the tensors"]);
    in_v1(&Table::default().finish(), &["lists the tensors"]);
    in_v1(&Table::of(&[(b"", &[0x10, 1])]), &["expected a list"]);
    let missing = v1_file(from_ref(&both), &[upper_half()]);
    in_v1(
        &missing,
        &["tensor `w`", "slice [2..5, 0..4] is not in the file"],
    );
    let unlisted = v1_file(&[listed("w", 1, &[2, 4], from_ref(&upper))], &good);
    in_v1(&unlisted, &["found 1 others", "at byte"]);
    let part = listed("w", 1, &[5, 4], from_ref(&upper));
    let part = v1_file(&[part], &[upper_half()]);
    in_v1(&part, &["slices of 20 elements in all, found 8"]);
    let overlapping = slice(&[(1, 3), (0, -1)]);
    let twice = listed("w", 1, &[5, 4], &[upper.clone(), overlapping.clone()]);
    let twice = v1_file(&[twice], &[upper_half(), ("w", overlapping, float(12))]);
    in_v1(&twice, &["two slices hold the element [1]"]);
    let outside = listed("w", 1, &[1, 4], from_ref(&upper));
    in_v1(
        &v1_file(&[outside], &[upper_half()]),
        &["within the shape [1, 4]"],
    );
    let rank = listed("w", 1, &[8], from_ref(&upper));
    in_v1(
        &v1_file(&[rank], &[upper_half()]),
        &["within the shape [8]"],
    );
    let short = v1_file(
        from_ref(&both),
        &[upper_half(), ("w", lower.clone(), float(11))],
    );
    in_v1(&short, &["tensor `w`", "found 44 bytes"]);
    let all = slice(&[(0, -1)]);
    let one = |name: &str, dtype| listed(name, dtype, &[2], from_ref(&all));
    let named_twice = [one("w", 1), one("w", 1)];
    let there = [("w", all.clone(), float(2))];
    in_v1(
        &v1_file(&named_twice, &there),
        &["slice [0..2] is not in the file"],
    );
    for dimensions in [&[-1][..], &[1; 255], &[i64::MIN]] {
        let odd = listed("w", 1, dimensions, from_ref(&all));
        in_v1(&v1_file(&[odd], &there), &["at most 254 dimensions"]);
    }
    let huge = listed("w", 1, &[1 << 40, 1 << 40], &[slice(&[(0, -1), (0, -1)])]);
    let huge = v1_file(&[huge], &[("w", slice(&[(0, -1), (0, -1)]), float(2))]);
    in_v1(&huge, &["tensor `w`", "found 8 bytes"]);
    let far = slice(&[(i64::MAX, i64::MAX)]);
    let far = v1_file(
        &[listed("w", 1, &[2], from_ref(&far))],
        &[("w", far, float(2))],
    );
    in_v1(&far, &["within the shape [2]"]);
    let newer = delimited(1, &delimited(2, &[0x10, 9]));
    in_v1(&Table::of(&[(b"", &newer)]), &["version 9"]);
    // A key of one slice over the numbers of another.
    let other = delimited(
        2,
        &[delimited(1, b"other"), delimited(3, &float(2))].concat(),
    );
    let meta = delimited(1, &delimited(1, &one("w", 1).encode_to_vec()));
    let key = all.key("w");
    let other = Table::of(&[(b"", &meta), (&key, &other)]);
    in_v1(&other, &["tensor `w`", "found one of `other`", "at byte"]);
}

#[test]
fn a_v1_list_of_numbers_is_of_its_type_and_read_in_every_form() {
    let all = slice(&[(0, -1)]);
    let read = |dtype, count: i64, list: Vec<u8>| {
        let listed = [listed("w", dtype, &[count], from_ref(&all))];
        v1::read(&v1_file(&listed, &[("w", all.clone(), list)]))
    };
    let values = |dtype, list: Vec<u8>| {
        let (tensors, _) = read(dtype, 2, list).unwrap();
        tensors["w"].values().into_owned()
    };
    let float = |value: f32| [&[5 << 3 | 5], &value.to_le_bytes()[..]].concat();
    assert_eq!(values(1, [float(1.5), float(-2.0)].concat()), [1.5, -2.0]);
    let packed = delimited(5, &1.5_f32.to_le_bytes());
    assert_eq!(values(1, [packed, float(-2.0)].concat()), [1.5, -2.0]);
    let content = [1.5_f32.to_le_bytes(), (-2_f32).to_le_bytes()].concat();
    assert_eq!(values(1, delimited(4, &content)), [1.5, -2.0]);
    let minus = varint(-3_i64 as u64);
    let singles = [&[7 << 3][..], &minus, &[7 << 3, 4]].concat();
    assert_eq!(values(3, singles), [-3.0, 4.0]);
    assert_eq!(
        values(
            14,
            delimited(13, &[varint(0x3f80), varint(0xc000)].concat())
        ),
        [1.0, -2.0]
    );
    let failed = |dtype, list, parts: &[&str]| said(&read(dtype, 2, list).unwrap_err(), parts);
    failed(
        4,
        delimited(7, &[varint(256), varint(0)].concat()),
        &["found 256"],
    );
    failed(
        6,
        delimited(7, &[varint(128), varint(0)].concat()),
        &["found 128"],
    );
    failed(10, delimited(11, &[1, 0, 1]), &["found 3 bytes"]);
    failed(3, delimited(7, &[0x80]), &["varint", "tensor `w`"]);
    failed(1, delimited(5, &[0; 7]), &["found 7 bytes"]);
    failed(1, vec![], &["found 0 bytes"]);
    let wrong_type = [&[8, 9][..], &delimited(5, &[0; 8])].concat();
    failed(1, wrong_type, &["expected float32, found data type 9"]);
    let cut = [&delimited(5, &[0; 8])[..], &[5 << 3 | 2, 100]].concat();
    failed(1, cut, &["field of 100 bytes, found 0"]);
    let groups = [[1 << 3 | 3].repeat(200), delimited(5, &[0; 8])].concat();
    failed(1, groups, &["recursion limit"]);
}

#[test]
fn an_index_agrees_with_itself_and_its_shards() {
    let of = |entry: BundleEntryProto| index(&one_shard(), &[(b"w".to_vec(), entry)]);
    let good = zeros(&[3, 2], 8);
    let (tensors, _) = v2::read(&of(good.clone()), |_| Ok(vec![0; 32].into())).unwrap();
    assert_eq!(*tensors["w"].values(), [0.0; 6]);

    in_v2(
        &of(good.clone()),
        31,
        &["tensor `w`", "expected 32 bytes", "found 31", "at byte 8"],
    );
    let spoiled = |spoil: &dyn Fn(&mut BundleEntryProto)| {
        let mut entry = good.clone();
        spoil(&mut entry);
        of(entry)
    };
    in_v2(&spoiled(&|e| e.crc32c ^= 1), 32, &["CRC-32C", "at byte 8"]);
    in_v2(
        &spoiled(&|e| e.shard_id = 1),
        32,
        &["shard below 1, found shard 1"],
    );
    in_v2(&spoiled(&|e| e.shard_id = -1), 32, &["found shard -1"]);
    in_v2(
        &spoiled(&|e| e.offset = -1),
        32,
        &["expected an offset, found -1"],
    );
    in_v2(
        &spoiled(&|e| e.offset = i64::MAX),
        32,
        &["found 32", "tensor `w`"],
    );
    for size in [23, -1, i64::MAX, 0] {
        let index = spoiled(&|e| e.size = size);
        in_v2(
            &index,
            32,
            &["expected 24 bytes of float32", &size.to_string()],
        );
    }
    let huge = BundleEntryProto {
        size: i64::MAX,
        shape: super::written::shape(&[i64::MAX, i64::MAX]),
        ..good.clone()
    };
    in_v2(&of(huge), 32, &["expected uncountably many bytes"]);
    in_v2(
        &spoiled(&|e| e.shape = super::written::shape(&[-2])),
        32,
        &["dimensions"],
    );
    let (tensors, notes) = v2::read(&spoiled(&|e| e.dtype = 99), |_| Ok(Bytes::new())).unwrap();
    assert!(tensors.is_empty());
    assert_eq!(notes, ["left out, holding data type 99: `w`"]);

    let header = |header: BundleHeaderProto| index(&header, &[]);
    let shards = |num_shards| BundleHeaderProto {
        num_shards,
        ..one_shard()
    };
    in_v2(&header(shards(0)), 0, &["1 shard or more, found 0"]);
    in_v2(&header(shards(-5)), 0, &["found -5"]);
    let big = BundleHeaderProto {
        endianness: 1,
        ..one_shard()
    };
    in_v2(&header(big), 0, &["little-endian"]);
    let version = VersionDef {
        producer: 3,
        min_consumer: 2,
    };
    let newer = BundleHeaderProto {
        version: Some(version),
        ..one_shard()
    };
    in_v2(&header(newer), 0, &["version 2"]);
    in_v2(
        &Table::of(&[(b"w", &good.encode_to_vec())]),
        0,
        &["counts the shards"],
    );
    let text = index(&one_shard(), &[(vec![b'w', 0xff], good.clone())]);
    in_v2(&text, 32, &["UTF-8", "at byte"]);
    let broken = Table::of(&[(b"", &one_shard().encode_to_vec()), (b"w", &[0x12, 0x7f])]);
    in_v2(&broken, 0, &["tensor `w`", "at byte"]);

    let overlap = [
        (b"v".to_vec(), zeros(&[4], 0)),
        (b"w".to_vec(), zeros(&[4], 12)),
    ];
    in_v2(
        &index(&one_shard(), &overlap),
        32,
        &["tensor `w`", "shares bytes with `v`", "at byte 12"],
    );
    // Shards are opened as they are needed, however many a file claims.
    let many = index(&shards(i32::MAX), &[(b"w".to_vec(), zeros(&[1], 0))]);
    let (tensors, _) = v2::read(&many, |shard| {
        assert_eq!(shard.to_string(), ".data-00000-of-2147483647");
        Ok(vec![0; 4].into())
    })
    .unwrap();
    assert_eq!(tensors.len(), 1);
}

#[test]
fn slices_in_an_index_make_up_their_tensor() {
    let (left, right) = (slice(&[(0, 1), (0, 2)]), slice(&[(0, 1), (2, 1)]));
    let whole = BundleEntryProto {
        slices: vec![left.clone(), right.clone()],
        size: 0,
        ..zeros(&[1, 3], 0)
    };
    let with = |whole: &BundleEntryProto, parts: Vec<(Vec<u8>, BundleEntryProto)>| {
        index(
            &one_shard(),
            &[vec![(b"w".to_vec(), whole.clone())], parts].concat(),
        )
    };
    let first = (left.key("w"), zeros(&[1, 2], 0));
    let second = (right.key("w"), zeros(&[1, 1], 8));
    let good = with(&whole, vec![first.clone(), second.clone()]);
    let read = |index: &Bytes| v2::read(index, |_| Ok(vec![0; 12].into()));
    let (tensors, _): (BTreeMap<String, Tensor>, _) = read(&good).unwrap();
    assert_eq!(tensors["w"].shape(), [1, 3]);

    let absent = with(&whole, vec![first.clone()]);
    in_v2(
        &absent,
        12,
        &["tensor `w`", "slice [0..1, 2..3] is not in the index"],
    );
    let other = with(&zeros(&[1, 3], 0), vec![first.clone()]);
    in_v2(&other, 12, &["found 1 others"]);
    let shape = (right.key("w"), zeros(&[1, 2], 8));
    in_v2(
        &with(&whole, vec![first.clone(), shape]),
        16,
        &["found data type 1 and shape [1, 2]"],
    );
    let mut half = second.clone();
    half.1.dtype = 19;
    in_v2(
        &with(&whole, vec![first.clone(), half]),
        12,
        &["found data type 19"],
    );
    let mut short = whole.clone();
    short.slices.pop();
    in_v2(
        &with(&short, vec![first.clone()]),
        12,
        &["slices of 3 elements in all, found 2"],
    );
    let mut twice = whole.clone();
    twice.slices.push(left.clone());
    in_v2(
        &with(&twice, vec![first, second]),
        12,
        &["is not in the index"],
    );
}
