//! A training configuration in words, for the report.

use crate::report::Training;
use crate::training::{OptimizerKind, Records, TrainingConfig};

/// How the network was trained, from the configuration that was used.
pub(super) fn training(config: &TrainingConfig, records: &Records, steps: u64) -> Training {
    let batch = config.batch_size;
    Training {
        recipe: recipe(config),
        steps,
        batch,
        // The steps alone: a run that was interrupted has no other time of its own.
        seconds: records
            .steps
            .iter()
            .map(|step| batch as f64 / step.images_per_second)
            .sum(),
    }
}

fn recipe(config: &TrainingConfig) -> Vec<String> {
    let optimizer = &config.optimizer;
    let rate = &config.learning_rate;
    let [least, most] = config.augmentation.area;
    let mut lines = vec![
        match optimizer.kind {
            OptimizerKind::RmsProp => format!(
                "RMSProp in TensorFlow's form: decay {}, epsilon {} inside the root, momentum {}",
                optimizer.decay, optimizer.epsilon, optimizer.momentum
            ),
            OptimizerKind::Momentum => {
                format!("gradient descent with momentum {}", optimizer.momentum)
            }
        },
        format!(
            "learning rate {}, times {} every {} epochs{}",
            rate.initial,
            rate.decay,
            rate.every_epochs,
            if rate.staircase { ", in steps" } else { "" }
        ),
        format!(
            "evaluated with averaged parameters, decay {} with warm-up",
            config.averaging.decay
        ),
        format!(
            "batch normalisation: moving decay {}",
            config.batch_norm.decay
        ),
        format!(
            "weight decay {} on convolution and linear weights",
            config.weight_decay
        ),
        format!(
            "random crops of {least} to {most} of the area{}",
            if config.augmentation.flip {
                ", mirrored or not"
            } else {
                ""
            }
        ),
        format!("dropout keeps {}", config.options.dropout_keep_probability),
    ];
    if config.label_smoothing > 0.0 {
        lines.push(format!("label smoothing {}", config.label_smoothing));
    }
    if let Some(norm) = config.clip_norm {
        lines.push(format!("gradients clipped to norm {norm}"));
    }
    lines
}
