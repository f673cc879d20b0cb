//! Crops per second of the 144-crop pipeline without a model, on one core: rendering alone, and with the conversion to
//! the network's float32 input. `cargo bench --bench crops`

use std::time::Instant;

use incept::crops::{CropPlan, CropRenderer, InputSize, to_tensor};
use incept::images::RgbImage;

/// ImageNet's most frequent size.
const WIDTH: u32 = 500;
const HEIGHT: u32 = 375;
const REPEATS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pixels = (0..WIDTH * HEIGHT * 3)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let image = RgbImage::new(WIDTH, HEIGHT, pixels)?;
    println!("{WIDTH}x{HEIGHT} image, median of {REPEATS}\n");
    println!("| crops | size | as bytes, crops/s | as float32 [N, 3, H, W], crops/s |");
    println!("|---|---|---|---|");
    for (argument, side) in [
        ("144", 299),
        ("144", 96),
        ("12", 299),
        ("10", 299),
        ("1", 299),
    ] {
        let plan = CropPlan::from_argument(argument, InputSize::square(side))?;
        let crops = plan.crops(WIDTH, HEIGHT)?;
        let mut renderer = CropRenderer::new();
        let mut tensor = vec![0.0; side as usize * side as usize * 3];
        let (mut bytes_only, mut with_tensor) = (vec![], vec![]);
        for _ in 0..REPEATS {
            let start = Instant::now();
            let mut sum = 0u64;
            renderer.render_each(&image, crops.iter().map(|c| c.crop), |_, pixels| {
                sum += u64::from(pixels[0])
            })?;
            std::hint::black_box(sum);
            bytes_only.push(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let mut outcome = Ok(());
            renderer.render_each(&image, crops.iter().map(|c| c.crop), |_, pixels| {
                if outcome.is_ok() {
                    outcome = to_tensor(pixels, side, side, &mut tensor);
                }
            })?;
            outcome?;
            with_tensor.push(start.elapsed().as_secs_f64());
        }
        let rate = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            crops.len() as f64 / times[REPEATS / 2]
        };
        println!(
            "| {argument} | {side} | {:.0} | {:.0} |",
            rate(&mut bytes_only),
            rate(&mut with_tensor)
        );
    }
    Ok(())
}
