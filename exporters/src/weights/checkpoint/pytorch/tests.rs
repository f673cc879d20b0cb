//! Files that no PyTorch writes: each is an error that says what and where, or harmless.

use bytes::Bytes;

use super::legacy::MAGIC;
use super::read;
use crate::weights::Malformed;

/// A file in the older format around this pickle (without its protocol), with one storage `0` of these numbers.
fn file(pickle: &[u8], numbers: &[f32]) -> Bytes {
    let mut bytes = vec![0x80, 2];
    bytes.extend(MAGIC);
    bytes.extend(b"\x80\x02M\xe9\x03."); // The version, 1001.
    bytes.extend(b"\x80\x02}.");
    bytes.extend(b"\x80\x02");
    bytes.extend(pickle);
    bytes.extend(b"\x80\x02]X\x01\x00\x00\x000a.");
    bytes.extend((numbers.len() as u64).to_le_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.into()
}

/// The byte at which [`file`] has the pickle.
const PICKLE_AT: u64 = 27;

fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

/// A persistent identifier of the storage `0`.
fn storage(class: &str, numbers: &str) -> Vec<u8> {
    let class = format!("c{}\n", class.replace('/', "\n"));
    let length = format!("L{numbers}L\n");
    [
        b"(",
        text("storage").as_slice(),
        class.as_bytes(),
        &text("0"),
        &text("cpu"),
        length.as_bytes(),
        b"NtQ",
    ]
    .concat()
}

/// A call that makes a tensor of the storage `0`.
fn tensor(numbers: &str, offset: &str, shape: &str, strides: &str) -> Vec<u8> {
    let whole = |number: &str| format!("L{number}L\n");
    let tuple = |numbers: &str| {
        let numbers: String = numbers.split_whitespace().map(whole).collect();
        format!("({numbers}t")
    };
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        storage("torch/FloatStorage", numbers).as_slice(),
        whole(offset).as_bytes(),
        tuple(shape).as_bytes(),
        tuple(strides).as_bytes(),
        b"\x89}tR",
    ]
    .concat()
}

/// A dictionary with these entries.
fn dictionary(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let entries = entries
        .iter()
        .flat_map(|(key, value)| [text(key), value.to_vec()].concat());
    [b"}(".to_vec(), entries.collect(), b"u".to_vec()].concat()
}

/// What is wrong with a file of this dictionary and a storage of four numbers.
fn wrong(pickle: &[u8]) -> Malformed {
    let stop = [pickle, b"."].concat();
    read(&file(&stop, &[1., 2., 3., 4.])).unwrap_err()
}

#[test]
fn the_files_made_here_are_read_where_nothing_is_wrong() {
    let good = tensor("4", "1", "3", "1");
    let stop = [dictionary(&[("a", &good)]), b".".to_vec()].concat();
    let bytes = file(&stop, &[1., 2., 3., 4.]);
    let (tensors, notes) = read(&bytes).unwrap();
    assert_eq!(*tensors["a"].values(), [2., 3., 4.]);
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(bytes[PICKLE_AT as usize..][..2], stop[..2]);
}

#[test]
fn tensors_that_cannot_be_are_refused_by_name() {
    let cases = [
        (
            tensor("4", "0", "-2", "1"),
            "its size: expected a number from 0 up, found -2",
        ),
        (
            tensor("4", "0", "2", "-1"),
            "its stride: expected a number from 0 up, found -1",
        ),
        (
            tensor("4", "-1", "2", "1"),
            "its offset: expected a number from 0 up, found -1",
        ),
        (
            tensor("-4", "0", "2", "1"),
            "its storage: expected a number from 0 up, found -4",
        ),
        (
            tensor("4", "0", "5", "1"),
            "needs 20 bytes from byte 0, found 16",
        ),
        (
            tensor("4", "3", "2", "1"),
            "needs 8 bytes from byte 12, found 16",
        ),
        (tensor("4", "0", "2 2", "3 1"), "found 16"),
        (
            tensor("4", "0", "2 2", "1"),
            "expected a stride for each dimension, found [1]",
        ),
        (
            tensor("4", "9223372036854775807", "1", "1"),
            "its offset overflows",
        ),
        (
            tensor("4", "0", "9223372036854775807 9223372036854775807", "1 1"),
            "more than can be counted",
        ),
        (tensor("4", "0", "2", "9223372036854775807"), "found 16"),
        // Stride 0 repeats a number: not so often that a few bytes become more than memory holds.
        (tensor("4", "0", "99999999999", "0"), "found 16"),
        (
            tensor("4", "0", "99999999999999999999", "1"),
            "found a number or bytes",
        ),
        (
            tensor("4", "0", &"1 ".repeat(65), &"1 ".repeat(65)),
            "at most 64 dimensions, found 65",
        ),
        (
            [
                b"ctorch._utils\n_rebuild_tensor_v2\n(".as_slice(),
                &storage("torch/FloatStorage", "4"),
                b"tR",
            ]
            .concat(),
            "found 1 arguments",
        ),
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR".to_vec(),
            "expected a storage, found None",
        ),
        (
            b"ctorch._utils\n_rebuild_qtensor\n(NK\x00))tR".to_vec(),
            "made by `torch._utils._rebuild_qtensor`",
        ),
    ];
    for (bad, reason) in cases {
        let good = tensor("4", "0", "4", "1");
        let error = wrong(&dictionary(&[("good", &good), ("bad", &bad)]));
        assert!(
            error.reason.contains(reason),
            "expected {reason}, found {error}"
        );
        assert_eq!(error.tensor.as_deref(), Some("bad"), "{error}");
        assert!(error.offset.is_some_and(|at| at > PICKLE_AT), "{error}");
    }
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let good = tensor("4", "0", "4", "1");
    let error = wrong(&dictionary(&[("twice", &good), ("twice", &good)]));
    assert_eq!(error.tensor.as_deref(), Some("twice"));
    assert!(
        error.reason.contains("two tensors have this name"),
        "{error}"
    );
}

#[test]
fn a_storage_that_two_tensors_see_differently_is_refused() {
    let (one, other) = (tensor("4", "0", "4", "1"), tensor("3", "0", "3", "1"));
    // The list of storages is that of the last that is mentioned.
    let error = wrong(&dictionary(&[("one", &other), ("other", &one)]));
    assert_eq!(error.tensor.as_deref(), Some("other"));
    assert!(
        error
            .reason
            .contains("expected the storage `0` as `one` has it"),
        "{error}"
    );
}

#[test]
fn pickles_that_no_python_reads_are_refused_with_the_byte() {
    let cases: [(&[u8], &str); 24] = [
        (b"\xff", "no such opcode"),
        (b"\x80\x06N", "expected a protocol from 0 to 5, found 6"),
        (b"0", "expected 1 values on the stack, found 0"),
        (b"N(\x85", "expected 1 values on the stack, found 0"),
        (b"N(R", "expected 1 values on the stack, found 0"),
        (b"\x85", "expected 1 values on the stack, found 0"),
        (b"NN\x87", "expected 3 values on the stack, found 2"),
        (b"Nt", "expected a mark on the stack, found none"),
        (b"h\x07", "nothing was put at place 7 of the memo"),
        (b"gx\n", "expected a place in the memo, found `x`"),
        (b"p-1\n", "expected a place in the memo, found `-1`"),
        (b"q\x00", "expected 1 values on the stack, found 0"),
        (b"NNa", "expected a list or set to add values to"),
        (b"NNNs", "expected a dictionary to add entries to"),
        (b"}(Nu", "expected keys with a value each, found 1 values"),
        (b"]NNsN", "expected a dictionary to add entries to"),
        (
            b"NN\x93",
            "expected the names of a module and of what is in it",
        ),
        (b"I1x\n", "expected a whole number in decimal"),
        (b"L\n", "expected a whole number in decimal"),
        (b"\x97", "refers to buffers outside the pickle"),
        (b"(o", "expected a class, found nothing"),
        (
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
            "expected 18446744073709551615 more bytes",
        ),
        (
            b"X\xff\xff\xff\xff",
            "expected 4294967295 more bytes of the pickle",
        ),
        (
            b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
            "more bytes of the pickle",
        ),
    ];
    for (pickle, reason) in cases {
        let error = wrong(pickle);
        let name = pickle.escape_ascii();
        assert!(
            error.reason.contains(reason),
            "{name}: expected {reason}, found {error}"
        );
        let end = PICKLE_AT + pickle.len() as u64;
        assert!(
            error
                .offset
                .is_some_and(|at| (PICKLE_AT..=end).contains(&at)),
            "{name}: {error}"
        );
    }
}

#[test]
fn opcodes_that_could_call_something_are_named_and_left() {
    let calls: [(&[u8], &str); 11] = [
        (b"cos\nsystem\n(X\x02\x00\x00\x00lstR", "`os.system`"),
        (
            b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93)R",
            "`os.system`",
        ),
        (b"(X\x02\x00\x00\x00lsios\nsystem\n", "`os.system`"),
        (b"(cos\nsystem\nX\x02\x00\x00\x00lso", "`os.system`"),
        (b"cos\nsystem\n)\x81", "`os.system`"),
        (b"cos\nsystem\n)}\x92", "`os.system`"),
        (b"cos\nsystem\n)R}b", "`os.system`"),
        (b"cos\nsystem\n)R(NNuNa(Ne", "`os.system`"),
        (b"\x82\x01", "a callable without a name"),
        (b"Pname\n", "a callable without a name"),
        (b"cbuiltins\ngetattr\n)R)R", "`builtins.getattr`"),
    ];
    let good = tensor("4", "0", "4", "1");
    for (call, name) in calls {
        let pickle = [
            dictionary(&[("evil", call), ("good", &good)]),
            b".".to_vec(),
        ]
        .concat();
        let (tensors, notes) = read(&file(&pickle, &[1., 2., 3., 4.])).unwrap();
        assert_eq!(*tensors["good"].values(), [1., 2., 3., 4.]);
        let expected = format!("calls {name}, not executed");
        assert!(
            notes.iter().any(|note| note.contains(&expected)),
            "{expected}: {notes:?}"
        );
    }
    // What is thrown away again is named too.
    let pickle = [
        b"cos\nsystem\n)R0".to_vec(),
        dictionary(&[("good", &good)]),
        b".".to_vec(),
    ]
    .concat();
    let (_, notes) = read(&file(&pickle, &[1., 2., 3., 4.])).unwrap();
    assert_eq!(notes, ["at byte 39: calls `os.system`, not executed"]);
}

#[test]
fn objects_that_contain_themselves_and_deep_ones_end() {
    let good = tensor("4", "0", "4", "1");
    let cyclic = [b"]q\x00h\x00a".as_slice(), &good, b"a"].concat();
    let error = wrong(&cyclic);
    assert!(
        error.reason.contains("found a sequence of 2 without"),
        "{error}"
    );
    // A dictionary in itself, under a key that is followed.
    let key = text("model");
    let cyclic = [
        b"}q\x00".as_slice(),
        &key,
        b"h\x00s",
        &text("x"),
        &good,
        b"s",
    ]
    .concat();
    let (tensors, _) = read(&file(
        &[&cyclic, b".".as_slice()].concat(),
        &[1., 2., 3., 4.],
    ))
    .unwrap();
    assert_eq!(tensors.len(), 1);

    let depth = 100_000;
    let down = [b"}".as_slice(), &key].concat().repeat(depth);
    let deep = [
        down,
        dictionary(&[("x", &good)]),
        b"s".repeat(depth),
        b".".to_vec(),
    ]
    .concat();
    let (tensors, notes) = read(&file(&deep, &[1., 2., 3., 4.])).unwrap();
    assert_eq!(tensors.len(), 1);
    assert_eq!(
        notes,
        [format!("read the dictionary `...{}`", ".model".repeat(8))]
    );
}

#[test]
fn the_older_format_is_checked_behind_the_pickle() {
    let good = [
        dictionary(&[("a", &tensor("4", "0", "4", "1"))]),
        b".".to_vec(),
    ]
    .concat();
    let whole = file(&good, &[1., 2., 3., 4.]);
    let storages = whole.len() - 24;
    let changed = |place: usize, byte: u8| {
        let mut bytes = whole.to_vec();
        bytes[place] = byte;
        read(&bytes.into()).unwrap_err()
    };
    let error = changed(storages, 5);
    assert!(
        error
            .reason
            .contains("expected 4 numbers, found a length of 5"),
        "{error}"
    );
    assert_eq!(error.offset, Some(storages as u64));
    let error = changed(storages + 7, 0x80);
    assert!(
        error
            .reason
            .contains("found a length of 9223372036854775812"),
        "{error}"
    );
    let error = changed(storages - 3, b'1');
    assert!(
        error.reason.contains("lists the text `1` as a storage"),
        "{error}"
    );
    let error = changed(18, 0xea);
    assert!(
        error
            .reason
            .contains("expected the version 1001, found 1002"),
        "{error}"
    );
    assert_eq!(error.offset, Some(15));
}
