//! From bytes `[N, H, W, 3]` to the network's image `[N, 3, H, W]`, in the graph: the resize and the centre crop where
//! they are asked for, then the scaling.
//!
//! The resize is of bytes, not of floats: ONNX Runtime rounds and clips bytes after each of its two passes, as Pillow
//! does. The sizes are computed with the roundings of torchvision and timm, as the crop plans have them.

use super::super::proto::{DOUBLE, FLOAT, INT64, NodeProto, UINT8};
use super::super::{Batch, ExportOptions, INPUT_NAME, Input, Recipe, Scaling};
use super::attributes::{float, integer, integers, text};
use super::values::{self, Size, batch, fixed, named};
use super::{AttributeProto, Graph};
use crate::net::Shape;

/// Adds the input and its nodes; `dimensions` are those of the network's image. Returns the name of its value.
pub(super) fn emit(
    graph: &mut Graph,
    shape: Shape,
    (recipe, scaling): (&Recipe, Scaling),
    dimensions: Vec<Size>,
    options: &ExportOptions,
) -> String {
    let mut nodes = Nodes { graph };
    let (height, width) = (dimensions[2].clone(), dimensions[3].clone());
    let mut bytes = INPUT_NAME.to_string();
    if options.input == Input::ImageOfAnySize {
        nodes.input(channels_last(named("H"), named("W"), options));
        bytes = nodes.resize_and_crop(shape, recipe, options);
    } else {
        nodes.input(channels_last(height, width, options));
    }
    // Cast first: TensorRT takes bytes only where a cast follows the input.
    let mut size = dimensions.clone();
    size.remove(1);
    size.push(fixed(3));
    let floats = nodes.cast("float", &bytes, FLOAT, size);
    let permutation = integers("perm", vec![0, 3, 1, 2]);
    let planes = nodes.add("Transpose", "transposed", &[&floats], vec![permutation]);
    nodes.describe(&planes, FLOAT, dimensions.clone());
    let Scaling { divisor, offset } = scaling;
    let divisor = nodes.number("divisor", divisor);
    let divided = nodes.add("Div", "divided", &[&planes, &divisor], vec![]);
    nodes.describe(&divided, FLOAT, dimensions.clone());
    let offset = nodes.number("offset", offset);
    let scaled = nodes.add("Sub", "scaled", &[&divided, &offset], vec![]);
    nodes.describe(&scaled, FLOAT, dimensions);
    scaled
}

fn channels_last(height: Size, width: Size, options: &ExportOptions) -> Vec<Size> {
    vec![batch(options), height, width, fixed(3)]
}

struct Nodes<'a> {
    graph: &'a mut Graph,
}

impl Nodes<'_> {
    fn input(&mut self, dimensions: Vec<Size>) {
        let input = values::of_type(UINT8, INPUT_NAME, dimensions);
        self.graph.inputs.push(input);
    }

    /// The image, resized so that it covers the crop's size / fraction, and the crop from its centre.
    fn resize_and_crop(
        &mut self,
        shape: Shape,
        recipe: &Recipe,
        options: &ExportOptions,
    ) -> String {
        let channels_last = |height, width| channels_last(height, width, options);
        let (height, width) = match shape {
            Shape::Map { height, width, .. } => (height, width),
            Shape::Vector { .. } => (1, 1),
        };
        let enlarged = [height, width].map(|side| recipe.enlarged(side));
        let ends = vec![integer("start", 1), integer("end", 3)];
        let size = self.add("Shape", "size", &[INPUT_NAME], ends);
        self.describe(&size, INT64, vec![fixed(2)]);
        let resized_size = if height == width {
            self.shorter_side(&size, enlarged[0])
        } else {
            self.covering(&size, enlarged)
        };
        let settings = vec![
            integer("antialias", 1),
            integers("axes", vec![1, 2]),
            text("coordinate_transformation_mode", "half_pixel"),
            float("cubic_coeff_a", -0.5),
            integer("exclude_outside", 1),
            text("mode", "cubic"),
        ];
        let operands = [INPUT_NAME, "", "", &resized_size];
        let resized = self.add("Resize", "resized", &operands, settings);
        self.describe(&resized, UINT8, channels_last(None, None));

        // (space) / 2 with halves to the even number, as Python's round has it: space / 2 + (space mod 4) / 3.
        let crop = self.whole_numbers("crop_size", &[height, width]);
        let space = self.whole("Sub", "space", &[&resized_size, &crop], 2);
        let two = self.whole_numbers("two", &[2]);
        let half = self.whole("Div", "half_space", &[&space, &two], 2);
        let four = self.whole_numbers("four", &[4]);
        let rest = self.whole("Mod", "space_modulo_4", &[&space, &four], 2);
        let three = self.whole_numbers("three", &[3]);
        let up = self.whole("Div", "rounded_up", &[&rest, &three], 2);
        let start = self.whole("Add", "crop_start", &[&half, &up], 2);
        let end = self.whole("Add", "crop_end", &[&start, &crop], 2);
        let axes = self.whole_numbers("crop_axes", &[1, 2]);
        let cut = self.add("Slice", "cut", &[&resized, &start, &end, &axes], vec![]);
        self.describe(&cut, UINT8, vec![None; 4]);
        // The cut's size is known, but follows from no shape: this says it, so that all shapes after it are known. A 0
        // leaves the batch as it is.
        let images = match options.batch {
            Batch::Dynamic => 0,
            Batch::Fixed(images) => images,
        };
        let known = self.whole_numbers("cropped_size", &[images, height, width, 3]);
        let cropped = self.add("Reshape", "cropped", &[&cut, &known], vec![]);
        let sizes = channels_last(fixed(height), fixed(width));
        self.describe(&cropped, UINT8, sizes);
        cropped
    }

    /// torchvision's: the longer side is floor(side * longer / shorter).
    fn shorter_side(&mut self, size: &str, side: usize) -> String {
        let side = self.whole_numbers("shorter_side", &[side]);
        let product = self.whole("Mul", "size_times_side", &[size, &side], 2);
        let shorter = self.whole("ReduceMin", "shorter", &[size], 1);
        self.whole("Div", "resized_size", &[&product, &shorter], 2)
    }

    /// timm's for an input that is not square: the smallest size in proportion that covers `to`, rounded, halves to the
    /// even number, in float64.
    fn covering(&mut self, size: &str, to: [usize; 2]) -> String {
        let two = vec![fixed(2)];
        let to = self.whole_numbers("covered_size", &to);
        let exact_size = self.cast("exact_size", size, DOUBLE, two.clone());
        let exact_to = self.cast("exact_covered_size", &to, DOUBLE, two.clone());
        let ratios = self.add("Div", "ratios", &[&exact_size, &exact_to], vec![]);
        self.describe(&ratios, DOUBLE, two.clone());
        let ratio = self.add("ReduceMin", "ratio", &[&ratios], vec![]);
        self.describe(&ratio, DOUBLE, vec![fixed(1)]);
        let exact = self.add("Div", "exact_resized_size", &[&exact_size, &ratio], vec![]);
        self.describe(&exact, DOUBLE, two.clone());
        let rounded = self.add("Round", "rounded_size", &[&exact], vec![]);
        self.describe(&rounded, DOUBLE, two.clone());
        let whole = self.cast("whole_size", &rounded, INT64, two);
        self.whole("Max", "resized_size", &[&whole, &to], 2)
    }

    /// A node that gives a vector of whole numbers.
    fn whole(&mut self, op_type: &str, name: &str, inputs: &[&str], length: usize) -> String {
        let name = self.add(op_type, name, inputs, vec![]);
        self.describe(&name, INT64, vec![fixed(length)]);
        name
    }

    fn whole_numbers(&mut self, name: &str, numbers: &[usize]) -> String {
        let values = numbers.iter().map(|&number| number as i64).collect();
        let name = self.add("Constant", name, &[], vec![integers("value_ints", values)]);
        self.describe(&name, INT64, vec![fixed(numbers.len())]);
        name
    }

    fn number(&mut self, name: &str, number: f32) -> String {
        let value = float("value_float", f64::from(number));
        let name = self.add("Constant", name, &[], vec![value]);
        self.describe(&name, FLOAT, vec![]);
        name
    }

    fn cast(&mut self, name: &str, value: &str, to: i32, dimensions: Vec<Size>) -> String {
        let name = self.add("Cast", name, &[value], vec![integer("to", to.into())]);
        self.describe(&name, to, dimensions);
        name
    }

    /// A node `image/<name>` and its value of the same name.
    fn add(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> String {
        let name = format!("{INPUT_NAME}/{name}");
        self.graph.nodes.push(NodeProto {
            input: inputs.iter().map(|input| input.to_string()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op_type.into(),
            attribute,
            ..Default::default()
        });
        name
    }

    fn describe(&mut self, name: &str, element_type: i32, dimensions: Vec<Size>) {
        let value = values::of_type(element_type, name, dimensions);
        self.graph.values.push(value);
    }
}
