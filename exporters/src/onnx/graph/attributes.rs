//! Attributes of ONNX nodes.

use super::super::proto::{AttributeProto, AttributeType};
use crate::net::Window;

pub(super) fn window(window: Window) -> Vec<AttributeProto> {
    let (rows, columns) = window.pads();
    let (rows, columns) = (rows as i64, columns as i64);
    vec![
        integers(
            "kernel_shape",
            vec![window.kernel.height as i64, window.kernel.width as i64],
        ),
        integers("pads", vec![rows, columns, rows, columns]),
        integers("strides", vec![window.stride as i64; 2]),
    ]
}

pub(super) fn integer(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i,
        r#type: AttributeType::Int.into(),
        ..Default::default()
    }
}

pub(super) fn integers(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints,
        r#type: AttributeType::Ints.into(),
        ..Default::default()
    }
}

pub(super) fn float(name: &str, f: f64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f: f as f32,
        r#type: AttributeType::Float.into(),
        ..Default::default()
    }
}

pub(super) fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        s: s.to_string().into(),
        r#type: AttributeType::String.into(),
        ..Default::default()
    }
}
