//! No checkpoint of PyTorch makes the reader take more memory than its length allows for: a test of its own, because the
//! allocations of the whole process are counted.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::Path;

use incept_exporters::weights::Checkpoint;
use peak_alloc::PeakAlloc;
use rawzip::{CompressionMethod, ZipArchiveWriter};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// What reading these bytes takes beside them, in bytes, and what it says.
fn read(bytes: &[u8]) -> (usize, String) {
    let bytes = bytes.to_vec().into();
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let result = Checkpoint::parse(bytes, Path::new("file.pth"));
    let taken = ALLOCATED.peak_usage().saturating_sub(before);
    let said = match result {
        Ok(checkpoint) => format!("{} tensors", checkpoint.tensors.len()),
        Err(error) => error.to_string(),
    };
    (taken, said)
}

/// An archive with these records, deflated.
fn deflated(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut archive = ZipArchiveWriter::new(&mut bytes);
    for (name, content) in records {
        let (mut entry, config) = archive
            .new_file(*name)
            .compression_method(CompressionMethod::DEFLATE)
            .start()
            .unwrap();
        let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
        let mut writer = config.wrap(encoder);
        writer.write_all(content).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

/// A dictionary with one tensor of as many float32 numbers.
fn one_tensor(numbers: usize) -> Vec<u8> {
    let storage = [
        b"((".as_slice(),
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        format!("L{numbers}L\ntQ").as_bytes(),
    ]
    .concat();
    let view = format!("K\x00(L{numbers}L\nt(K\x01t\u{89}}}tR");
    let view: Vec<u8> = view.chars().map(|letter| letter as u8).collect();
    let call = b"ctorch._utils\n_rebuild_tensor_v2\n";
    [b"}".as_slice(), &text("a"), call, &storage, &view, b"s."].concat()
}

const MEBIBYTE: usize = 1 << 20;

#[test]
fn memory_is_bounded_by_the_length_of_the_file() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/checkpoints/pytorch");
    for name in ["training", "training_legacy", "deflated", "evil_beside"] {
        let whole = fs::read(golden.join(format!("{name}.pth"))).unwrap();
        let most = (0..=whole.len())
            .map(|length| read(&whole[..length]).0)
            .max()
            .unwrap();
        assert!(most < MEBIBYTE, "{name}: {most} bytes");
    }

    // Announced lengths are not allocated: 2^63 bytes of text, the last place of the memo.
    let pickle = |code: &[u8]| deflated(&[("a/data.pkl", code)]);
    let huge = pickle(b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.");
    let last_place = pickle(b"Nr\xff\xff\xff\xff.");
    for (bytes, reason) in [
        (huge, "more bytes of the pickle"),
        (last_place, "expected a dictionary"),
    ] {
        let (taken, said) = read(&bytes);
        assert!(said.contains(reason), "{said}");
        assert!(taken < MEBIBYTE, "{said}: {taken} bytes");
    }

    // A thousandfold of zeros: 8 MiB are within what is always unfolded, 24 MiB of a file of 100 KiB are not.
    let zeros = |numbers: usize| {
        let storage = vec![0; 4 * numbers];
        deflated(&[("a/data.pkl", &one_tensor(numbers)), ("a/data/0", &storage)])
    };
    let (taken, said) = read(&zeros(2 * MEBIBYTE));
    assert!(said.contains("1 tensors"), "{said}");
    assert!(taken < 9 * MEBIBYTE, "{taken} bytes");
    let (taken, said) = read(&zeros(6 * MEBIBYTE));
    assert!(said.contains("unfold to 2516"), "{said}");
    assert!(taken < MEBIBYTE, "{taken} bytes");
    // As a pickle too.
    let (taken, said) = read(&pickle(&vec![b'N'; 24 * MEBIBYTE]));
    assert!(said.contains("unfold to 2516"), "{said}");
    assert!(taken < MEBIBYTE, "{taken} bytes");

    // A storage of which the tensor knows less than the record holds, and more.
    for (told, held) in [
        (4, 1000),
        (1000, 4),
        (usize::MAX / 8, 4),
        (usize::MAX / 4 + 1, 4),
    ] {
        let storage = vec![0; held];
        let bytes = deflated(&[("a/data.pkl", &one_tensor(told)), ("a/data/0", &storage)]);
        let (taken, said) = read(&bytes);
        assert!(said.contains("tensor `a`: "), "{said}");
        assert!(taken < MEBIBYTE, "{said}: {taken} bytes");
    }

    // As many values as a pickle may have, in the forms that take most: empty containers, names, places of the memo.
    let many = |code: &[u8]| pickle(&code.repeat(2 * MEBIBYTE));
    let places: Vec<u8> = (0..MEBIBYTE as u32)
        .flat_map(|place| [b"r".as_slice(), &place.to_le_bytes()].concat())
        .collect();
    let places = pickle(&[b"N", places.as_slice(), b"."].concat());
    let reachable = [b"](".as_slice(), &vec![b'}'; MEBIBYTE - 9], b"e."].concat();
    let forms = [
        ("dictionaries", many(b"}")),
        ("lists", many(b"]")),
        ("tuples", many(b"(t")),
        ("extensions", many(b"\x82\x01")),
        ("places", places),
        ("reachable dictionaries", pickle(&reachable)),
    ];
    for (name, bytes) in forms {
        let (taken, said) = read(&bytes);
        println!("{name}: {taken} bytes; {said}");
        assert!(taken < 200 * MEBIBYTE, "{name}: {taken} bytes; {said}");
    }

    for (name, code) in repetitions() {
        let (taken, said) = read(&pickle(&code));
        println!("{name}: {taken} bytes; {said}");
        assert!(taken < 64 * MEBIBYTE, "{name}: {taken} bytes; {said}");
    }
}

/// Pickles in which few bytes repeat something long ten thousand times, in each way there is: a reader that copies it
/// each time takes gigabytes.
fn repetitions() -> Vec<(&'static str, Vec<u8>)> {
    let long = text(&"n".repeat(60_000));
    let again = |start: &[&[u8]], step: &[u8]| {
        let start = start.concat();
        [start.as_slice(), &step.repeat(10_000), b"."].concat()
    };
    // A list of pairs as place 1 of the memo, and a class as place 2.
    let list = [
        b"](".as_slice(),
        &b"NN\x86".repeat(10_000),
        b"eq\x01ccollections\nOrderedDict\nq\x02",
    ]
    .concat();
    // A tensor of 60 dimensions, of a storage with a long name, as place 1; a name of 1000 bytes as place 2.
    let tensor = [
        b"X\xe8\x03\x00\x00".as_slice(),
        &[b'n'; 1000],
        b"q\x02ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &long,
        &text("cpu"),
        b"K\x01tQK\x00(",
        &b"K\x01".repeat(60),
        b"tq\x03h\x03\x89}tRq\x01",
    ]
    .concat();
    let entries: Vec<u8> = (0..10_000)
        .flat_map(|n| [text(&n.to_string()), b"h\x01s".to_vec()].concat())
        .collect();
    let below_long_name = [
        tensor.as_slice(),
        b"}h\x02}",
        &entries,
        b"sX\x01\x00\x00\x00m}",
        &entries,
        b"s.",
    ]
    .concat();
    vec![
        ("names", again(&[&long, b"q\x00"], b"h\x00h\x00\x93\x94")),
        ("ordered dictionaries", again(&[&list], b"h\x02h\x01\x85R")),
        ("keys", again(&[&long, b"q\x00}"], b"h\x00Ns")),
        ("pairs", again(&[&long, b"q\x00"], b"](h\x00h\x00\x86e")),
        ("dictionaries", again(&[&long, b"q\x00}"], b"h\x00}s2")),
        (
            "tensors of one name",
            again(&[&tensor, b"}"], b"h\x02h\x01s"),
        ),
        (
            "others of one name",
            again(&[&tensor, b"}h\x02h\x01s"], b"h\x02Ns"),
        ),
        ("tensors below a long name", below_long_name),
    ]
}
