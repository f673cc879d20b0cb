//! The forward pass and the training step in libtorch on the CPU, in float32: to compare with PyTorch eager of the same
//! network and size (`scripts/bench/torch_eager.py`).
//! `cargo bench --features torch --bench torch -- [NETWORK] [IMAGE_SIZE] [BATCH]`

use incept::exporters::net::NetOptions;
use incept::exporters::weights::Weights;
use incept::exporters::zoo;
use incept::torch::{bench_forward, bench_training_step, tch::Device};

const REPEATS: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let argument = |place: usize, default: &str| {
        arguments
            .get(place)
            .map_or(default, String::as_str)
            .to_string()
    };
    let name = argument(0, "inception_v4");
    let side: usize = argument(1, "149").parse()?;
    let batch: usize = argument(2, "2").parse()?;
    let net = zoo::find(&name, None)?.build(&NetOptions::default().image_size(side))?;
    let weights = Weights::initial(&net, 0);
    let forward = bench_forward(&net, &weights, batch, REPEATS, Device::Cpu)?;
    let step = bench_training_step(&net, &weights, batch, REPEATS, Device::Cpu)?;
    println!("{name} at {side}x{side}, batch {batch}, medians of {REPEATS}");
    println!(
        "forward        {:8.1} ms",
        1e3 * forward.median.as_secs_f64()
    );
    println!("training step  {:8.1} ms", 1e3 * step.median.as_secs_f64());
    Ok(())
}
