//! The errors that the paper (arXiv 1602.07261) prints, table by table.

/// One row of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaperRow {
    /// The network as printed.
    pub network: &'static str,
    /// Its name in the zoo, where it is one network.
    pub name: Option<&'static str>,
    /// Crops of each image, or `dense`.
    pub crops: &'static str,
    /// Models averaged.
    pub models: usize,
    /// Top-1 error in percent, where printed.
    pub top1_percent: Option<f64>,
    /// Top-5 error in percent.
    pub top5_percent: f64,
}

/// A table of errors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaperTable {
    /// Its number.
    pub number: u8,
    /// What it shows.
    pub title: &'static str,
    /// Images of the ILSVRC 2012 validation set it is measured on.
    pub images: usize,
    /// Those images in words.
    pub subset: &'static str,
    /// The rows, in the paper's order.
    pub rows: &'static [PaperRow],
}

/// Images of the validation set.
pub const ALL_IMAGES: usize = 50_000;
/// Images left when the 1,762 with poor bounding boxes are left out, as the paper did for Table 2 by mistake.
pub const IMAGES_NOT_BLACKLISTED: usize = 48_238;
/// Classes of ImageNet.
pub const CLASSES: usize = 1000;
/// Table 5's last ensemble on the test set, top-5 error in percent.
pub const TEST_SET_TOP5_PERCENT: f64 = 3.08;

const fn row(
    network: &'static str,
    name: Option<&'static str>,
    crops: &'static str,
    models: usize,
    top1_percent: Option<f64>,
    top5_percent: f64,
) -> PaperRow {
    PaperRow {
        network,
        name,
        crops,
        models,
        top1_percent,
        top5_percent,
    }
}

const V3: Option<&str> = Some("inception_v3");
const V4: Option<&str> = Some("inception_v4");
const RESNET_V1: Option<&str> = Some("inception_resnet_v1");
const RESNET_V2: Option<&str> = Some("inception_resnet_v2");

/// Single crop.
pub const TABLE_2: PaperTable = PaperTable {
    number: 2,
    title: "single crop, single model",
    images: IMAGES_NOT_BLACKLISTED,
    subset: "48,238 non-blacklisted images",
    rows: &[
        row("BN-Inception", None, "1", 1, Some(25.2), 7.8),
        row("Inception-v3", V3, "1", 1, Some(21.2), 5.6),
        row("Inception-ResNet-v1", RESNET_V1, "1", 1, Some(21.3), 5.5),
        row("Inception-v4", V4, "1", 1, Some(20.0), 5.0),
        row("Inception-ResNet-v2", RESNET_V2, "1", 1, Some(19.9), 4.9),
    ],
};

/// 12 crops, for ResNet 10.
pub const TABLE_3: PaperTable = PaperTable {
    number: 3,
    title: "10 or 12 crops, single model",
    images: ALL_IMAGES,
    subset: "all 50,000 images",
    rows: &[
        row("ResNet-151", None, "10", 1, Some(21.4), 5.7),
        row("Inception-v3", V3, "12", 1, Some(19.8), 4.6),
        row("Inception-ResNet-v1", RESNET_V1, "12", 1, Some(19.8), 4.6),
        row("Inception-v4", V4, "12", 1, Some(18.7), 4.2),
        row("Inception-ResNet-v2", RESNET_V2, "12", 1, Some(18.7), 4.1),
    ],
};

/// 144 crops, for ResNet dense.
pub const TABLE_4: PaperTable = PaperTable {
    number: 4,
    title: "144 crops, single model",
    images: ALL_IMAGES,
    subset: "all 50,000 images",
    rows: &[
        row("ResNet-151", None, "dense", 1, Some(19.4), 4.5),
        row("Inception-v3", V3, "144", 1, Some(18.9), 4.3),
        row("Inception-ResNet-v1", RESNET_V1, "144", 1, Some(18.8), 4.3),
        row("Inception-v4", V4, "144", 1, Some(17.7), 3.8),
        row("Inception-ResNet-v2", RESNET_V2, "144", 1, Some(17.8), 3.7),
    ],
};

/// Ensembles.
pub const TABLE_5: PaperTable = PaperTable {
    number: 5,
    title: "ensembles, 144 crops",
    images: ALL_IMAGES,
    subset: "all 50,000 images",
    rows: &[
        row("ResNet-151", None, "dense", 6, None, 3.6),
        row("Inception-v3", None, "144", 4, Some(17.3), 3.6),
        row(
            "Inception-v4 + 3 × Inception-ResNet-v2",
            None,
            "144",
            4,
            Some(16.5),
            3.1,
        ),
    ],
};
