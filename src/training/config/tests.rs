#![allow(clippy::unwrap_used)]
use super::*;
use crate::training::overrides::{KEYS, dotted};

const LEAST: &str = "network = 'inception_v4'\ndata = 'data'\noutput = 'run'\nepochs = 20\n";

fn with(overrides: &[&str]) -> Result<TrainingConfig, ConfigError> {
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    crate::training::overrides::parse(LEAST, "test.toml", &overrides)
}

#[test]
fn the_defaults_are_the_papers_recipe() {
    let config = with(&[]).unwrap();
    let optimizer = config.optimizer;
    assert_eq!(optimizer.kind, OptimizerKind::RmsProp);
    assert_eq!(
        (optimizer.decay, optimizer.epsilon, optimizer.momentum),
        (0.9, 1.0, 0.9)
    );
    assert_eq!(config.averaging.decay, 0.9999);
    assert_eq!(config.batch_norm.decay, 0.9997);
    assert_eq!(
        (
            config.weight_decay,
            config.label_smoothing,
            config.clip_norm
        ),
        (4e-5, 0.0, None)
    );
    assert_eq!(
        (config.options.image_height, config.options.width_multiplier),
        (299, 1.0)
    );
    let rate = config.learning_rate;
    for (epochs, expected) in [
        (0.0, 0.045),
        (1.99, 0.045),
        (2.0, 0.0423),
        (7.9, 0.045 * 0.94 * 0.94 * 0.94),
    ] {
        assert!((rate.at(epochs) - expected).abs() < 1e-12, "{epochs}");
    }
    assert_eq!(config.total_steps(1000), 625);
}

#[test]
fn the_list_of_keys_is_the_structures_and_text_comes_back() {
    let mut config = with(&["clip_norm=2", "options.classes=7"]).unwrap();
    let again = TrainingConfig::from_toml(&config.to_toml(), "again").unwrap();
    assert_eq!(again, config);
    assert_eq!(again.digest(), config.digest());
    config.steps = Some(3);
    let table: Table = config.to_toml().parse().unwrap();
    let mut found: Vec<String> = dotted(&table).into_iter().map(|(key, _)| key).collect();
    let mut expected: Vec<String> = KEYS.iter().map(|key| key.to_string()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn overrides_take_toml_values_and_bare_words() {
    let config = with(&[
        "learning_rate.initial=1",
        "device=cuda:1",
        "optimizer.kind='momentum'",
        "steps=12",
        "augmentation.area=[0.5, 1]",
        "data=/some/where",
    ])
    .unwrap();
    assert_eq!(config.learning_rate.initial, 1.0);
    assert_eq!(config.device, "cuda:1");
    assert_eq!(config.optimizer.kind, OptimizerKind::Momentum);
    assert_eq!((config.steps, config.epochs), (Some(12), None));
    assert_eq!(config.augmentation.area, [0.5, 1.0]);
    assert_eq!(config.data, Path::new("/some/where"));
}

#[test]
fn every_bad_value_is_named_with_what_was_expected_and_found() {
    for (text, parts) in [
        (
            "batch_size=0",
            vec!["`batch_size`", "1 to 65536", "found 0"],
        ),
        (
            "optimizer.decay=1.5",
            vec!["`optimizer.decay`", "found 1.5"],
        ),
        (
            "optimizer.epsilon=0",
            vec!["`optimizer.epsilon`", "above 0", "found 0"],
        ),
        ("optimizer.kind=adam", vec!["adam", "rmsprop", "momentum"]),
        (
            "learning_rate.initial=nan",
            vec!["`learning_rate.initial`", "NaN"],
        ),
        (
            "learning_rate.decay=2",
            vec!["`learning_rate.decay`", "found 2"],
        ),
        ("averaging.decay=1", vec!["`averaging.decay`", "found 1"]),
        (
            "label_smoothing=-0.1",
            vec!["`label_smoothing`", "found -0.1"],
        ),
        ("steps=0", vec!["`steps`", "at least 1"]),
        ("steps=-3", vec!["-3", "steps"]),
        ("checkpoint_every=0", vec!["`checkpoint_every`"]),
        (
            "augmentation.area=[0.9, 0.2]",
            vec!["`augmentation.area`", "[0.9, 0.2]"],
        ),
        (
            "augmentation.aspect=[0.0, 0.2]",
            vec!["`augmentation.aspect`"],
        ),
        ("augmentation.flip=maybe", vec!["maybe", "boolean", "flip"]),
        ("batch_size=many", vec!["many", "batch_size"]),
        ("options.image_height=30", vec!["options", "75", "30x299"]),
        ("network=inception_v9", vec!["network", "inception_v9"]),
        ("network", vec!["key=value", "no `=`"]),
        ("steps=", vec!["steps=", "no value"]),
    ] {
        let error = with(&[text]).unwrap_err();
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        for part in parts {
            assert!(
                message.contains(part),
                "{text}: expected {part} in: {message}"
            );
        }
    }
    let neither = LEAST.replace("epochs = 20\n", "");
    let error = TrainingConfig::from_toml(&neither, "x").unwrap_err();
    assert!(error.to_string().contains("neither of them"), "{error}");
}

#[test]
fn an_unknown_key_gets_the_nearest_one() {
    for (key, near) in [
        ("learning_rate.inital", "learning_rate.initial"),
        ("optimiser.decay", "optimizer.decay"),
        ("batchsize", "batch_size"),
    ] {
        let error = with(&[&format!("{key}=1")]).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
        assert_eq!(error.hint().unwrap(), format!("did you mean `{near}`?"));
        let text = format!("{LEAST}\n{key} = 1\n");
        let error = TrainingConfig::from_toml(&text, "x.toml").unwrap_err();
        assert!(error.to_string().contains("x.toml"), "{error}");
        assert_eq!(error.hint().unwrap(), format!("did you mean `{near}`?"));
    }
    let error = TrainingConfig::from_toml("network = ", "x.toml").unwrap_err();
    assert!(matches!(error, ConfigError::Malformed { .. }), "{error}");
    let error = TrainingConfig::read(Path::new("/nonexistent/c.toml"), &[]).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/c.toml"), "{error}");
}
