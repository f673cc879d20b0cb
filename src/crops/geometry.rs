//! From a plan and an image's size to rectangles.
//!
//! Roundings, all as torchvision has them: the longer side is floor(scale * longer / shorter); a centred
//! offset is (outer - inner) / 2 with halves to the even number (Python's `round`).
use super::{CropError, CropPlan, InputSize, Method, Squares, View};
use crate::images::Filter;

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rectangle {
    /// Left edge.
    pub left: u32,
    /// Upper edge.
    pub top: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// One crop of an image: resize the image to `resized`, cut `cut` out of it, resize the cut to `output`
/// if it has another size, mirror it if so asked. Two crops that are equal have equal pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crop {
    /// Width and height of the resized image; the original's where it is not resized.
    pub resized: (u32, u32),
    /// What is cut out of the resized image.
    pub cut: Rectangle,
    /// The crop's size.
    pub output: InputSize,
    /// Left and right exchanged.
    pub mirrored: bool,
    /// The filter of both resizes.
    pub filter: Filter,
}

/// A distinct crop and how often it stands in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightedCrop {
    /// The crop.
    pub crop: Crop,
    /// How many crops of the plan are equal to it; averages weigh it so often.
    pub multiplicity: u32,
}

impl CropPlan {
    /// The distinct crops of an image of `width` x `height` pixels, in the plan's order, each with its
    /// multiplicity; the multiplicities add up to [`CropPlan::count`].
    ///
    /// # Errors
    /// [`CropError::Image`] for an image of no pixels or one too slim to resize.
    pub fn crops(&self, width: u32, height: u32) -> Result<Vec<WeightedCrop>, CropError> {
        let mut distinct: Vec<WeightedCrop> = Vec::new();
        for crop in self.all_crops(width, height)? {
            match distinct.iter_mut().find(|known| known.crop == crop) {
                Some(known) => known.multiplicity += 1,
                None => distinct.push(WeightedCrop {
                    crop,
                    multiplicity: 1,
                }),
            }
        }
        Ok(distinct)
    }

    /// All crops of an image, duplicates included: scale by scale, in each square by square (left,
    /// centre, right or top, centre, bottom), in each view by view, each followed by its mirror image.
    ///
    /// # Errors
    /// As [`CropPlan::crops`].
    pub fn all_crops(&self, width: u32, height: u32) -> Result<Vec<Crop>, CropError> {
        let impossible = || CropError::Image {
            plan: self.name.clone(),
            width,
            height,
        };
        if width == 0 || height == 0 {
            return Err(impossible());
        }
        let whole = Rectangle {
            left: 0,
            top: 0,
            width,
            height,
        };
        let mut regions = Vec::new();
        match &self.method {
            Method::StretchedMiddle { fraction } => {
                regions.push(((width, height), middle(whole, *fraction)));
            }
            Method::Cover {
                height: to_height,
                width: to_width,
            } => {
                let resized = covering((width, height), (*to_width, *to_height));
                regions.push((
                    resized,
                    Rectangle {
                        width: resized.0,
                        height: resized.1,
                        ..whole
                    },
                ));
            }
            Method::ShorterSide { scales } => {
                for &scale in scales {
                    let resized = shorter_side_to((width, height), scale).ok_or_else(impossible)?;
                    for square in squares(resized, self.squares) {
                        regions.push((resized, square));
                    }
                }
            }
        }
        let mut crops = Vec::with_capacity(self.count());
        for (resized, region) in regions {
            for &view in &self.views {
                let cut = view_of(region, view, self.crop);
                let (output, filter) = (self.crop, self.filter);
                let crop = Crop {
                    resized,
                    cut,
                    output,
                    mirrored: false,
                    filter,
                };
                crops.push(crop);
                if self.mirror {
                    crops.push(Crop {
                        mirrored: true,
                        ..crop
                    });
                }
            }
        }
        Ok(crops)
    }
}

/// (`outer` - `inner`) / 2, halves to the even number. `outer` is at least `inner`.
fn centred(outer: u32, inner: u32) -> u32 {
    let space = outer.saturating_sub(inner);
    space / 2 + u32::from(space % 4 == 3)
}

/// torchvision's `Resize(scale)`: (width, height). None where the longer side passes 2^20 pixels.
fn shorter_side_to((width, height): (u32, u32), scale: u32) -> Option<(u32, u32)> {
    let (shorter, longer) = (width.min(height), width.max(height));
    let long = u64::from(scale) * u64::from(longer) / u64::from(shorter);
    let long = u32::try_from(long).ok().filter(|long| *long <= 1 << 20)?;
    Some(if width <= height {
        (scale, long)
    } else {
        (long, scale)
    })
}

/// timm's `ResizeKeepRatio` with `longest = 0`: the smallest size in proportion that covers `to`.
fn covering((width, height): (u32, u32), to: (u32, u32)) -> (u32, u32) {
    let across = f64::from(width) / f64::from(to.0);
    let down = f64::from(height) / f64::from(to.1);
    let ratio = across.min(down);
    let side =
        |length: u32, least: u32| ((f64::from(length) / ratio).round_ties_even() as u32).max(least);
    (side(width, to.0), side(height, to.1))
}

/// TensorFlow's `central_crop`: each margin is rounded down.
fn middle(whole: Rectangle, fraction: f64) -> Rectangle {
    let margin = |side: u32| ((f64::from(side) - f64::from(side) * fraction) / 2.0) as u32;
    let (left, top) = (margin(whole.width), margin(whole.height));
    Rectangle {
        left,
        top,
        width: whole.width - 2 * left,
        height: whole.height - 2 * top,
    }
}

fn squares((width, height): (u32, u32), squares: Squares) -> Vec<Rectangle> {
    let side = width.min(height);
    let at = |left, top| Rectangle {
        left,
        top,
        width: side,
        height: side,
    };
    let centre = at(centred(width, side), centred(height, side));
    match squares {
        Squares::None => vec![Rectangle {
            left: 0,
            top: 0,
            width,
            height,
        }],
        Squares::Centre => vec![centre],
        Squares::Three => vec![at(0, 0), centre, at(width - side, height - side)],
    }
}

fn view_of(region: Rectangle, view: View, crop: InputSize) -> Rectangle {
    let (right, lower) = (
        region.width - crop.width.min(region.width),
        region.height - crop.height.min(region.height),
    );
    let (x, y) = match view {
        View::Whole => return region,
        View::TopLeft => (0, 0),
        View::TopRight => (right, 0),
        View::BottomLeft => (0, lower),
        View::BottomRight => (right, lower),
        View::Centre => (
            centred(region.width, crop.width),
            centred(region.height, crop.height),
        ),
    };
    Rectangle {
        left: region.left + x,
        top: region.top + y,
        width: crop.width.min(region.width),
        height: crop.height.min(region.height),
    }
}
