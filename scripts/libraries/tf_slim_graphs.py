"""TF-slim's three networks as TensorFlow graphs with the variable names that the published checkpoints have.

Inception-v3 is tf_slim's own. tf_slim does not carry Inception-v4 and Inception-ResNet-v2 (they are in another repository that no package
index has), so these two are put together here from tf_slim's layers, which also name the variables. The layer tables follow the papers and
the names of the published checkpoints. Neither shares anything with incept's own description of them.
"""

from collections.abc import Sequence

import tensorflow as tf
import tf_slim as slim
from tensorflow.python.framework import ops, tensor
from tf_slim.nets import inception_v3 as slim_inception_v3

# tf_slim 1.1 looks for the class where TensorFlow kept it until 2.15.
ops.Tensor = tensor.Tensor

v1 = tf.compat.v1
CLASSES = 1001

# (scope, filters, kernel) of a convolution with stride 1 that keeps the size. "valid" or "halve" as fourth: without padding, stride 1 or 2.
Layer = tuple
AVERAGE, MAXIMUM = "average", "maximum"


def convolution(values: tf.Tensor, layer: Layer) -> tf.Tensor:
    scope, filters, kernel, *how = layer
    stride, padding = {"": (1, "SAME"), "valid": (1, "VALID"), "halve": (2, "VALID")}[how[0] if how else ""]
    return slim.conv2d(values, filters, kernel, stride=stride, padding=padding, scope=scope)


def chain(values: tf.Tensor, layers: Sequence[Layer | str | list]) -> tf.Tensor:
    """Layers one after another. A list among them stands for convolutions side by side, joined along the channels."""
    for layer in layers:
        if layer == AVERAGE:
            values = slim.avg_pool2d(values, 3, stride=1, padding="SAME")
        elif layer == MAXIMUM:
            values = slim.max_pool2d(values, 3, stride=2, padding="VALID")
        elif isinstance(layer, list):
            values = tf.concat([convolution(values, one) for one in layer], 3)
        else:
            values = convolution(values, layer)
    return values


def branches(values: tf.Tensor, *each: Sequence[Layer | str | list]) -> tf.Tensor:
    outputs = []
    for number, layers in enumerate(each):
        with v1.variable_scope(f"Branch_{number}"):
            outputs.append(chain(values, layers))
    return tf.concat(outputs, 3)


def mixed(values: tf.Tensor, scope: str, *each: Sequence[Layer | str | list]) -> tf.Tensor:
    with v1.variable_scope(scope):
        return branches(values, *each)


def classifier(values: tf.Tensor, scope: str) -> tf.Tensor:
    return slim.fully_connected(slim.flatten(values), CLASSES, activation_fn=None, scope=scope)


def auxiliary(values: tf.Tensor, second: str, last: str) -> tf.Tensor:
    """The head on the middle grid: its second convolution covers the whole grid that is left, 5x5 at 299."""
    with v1.variable_scope("AuxLogits"):
        values = slim.avg_pool2d(values, 5, stride=3, padding="VALID")
        values = convolution(values, ("Conv2d_1b_1x1", 128, 1))
        values = slim.conv2d(values, 768, values.shape[1:3], padding="VALID", scope=second)
        return classifier(values, last)


def inception_v4(images: tf.Tensor, with_auxiliary: bool) -> dict[str, tf.Tensor]:
    outputs = {}
    values = chain(
        images,
        [("Conv2d_1a_3x3", 32, 3, "halve"), ("Conv2d_2a_3x3", 32, 3, "valid"), ("Conv2d_2b_3x3", 64, 3)],
    )
    values = mixed(values, "Mixed_3a", [MAXIMUM], [("Conv2d_0a_3x3", 96, 3, "halve")])
    values = mixed(
        values,
        "Mixed_4a",
        [("Conv2d_0a_1x1", 64, 1), ("Conv2d_1a_3x3", 96, 3, "valid")],
        [("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_1x7", 64, (1, 7)), ("Conv2d_0c_7x1", 64, (7, 1)), ("Conv2d_1a_3x3", 96, 3, "valid")],
    )
    values = mixed(values, "Mixed_5a", [("Conv2d_1a_3x3", 192, 3, "halve")], [MAXIMUM])
    outputs["stem"] = values
    for letter in "bcde":
        values = mixed(
            values,
            f"Mixed_5{letter}",
            [("Conv2d_0a_1x1", 96, 1)],
            [("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3)],
            [("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3), ("Conv2d_0c_3x3", 96, 3)],
            [AVERAGE, ("Conv2d_0b_1x1", 96, 1)],
        )
    outputs["inception_a"] = values
    values = mixed(
        values,
        "Mixed_6a",
        [("Conv2d_1a_3x3", 384, 3, "halve")],
        [("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_3x3", 224, 3), ("Conv2d_1a_3x3", 256, 3, "halve")],
        [MAXIMUM],
    )
    outputs["reduction_a"] = values
    for letter in "bcdefgh":
        long = [("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_7x1", 192, (7, 1)), ("Conv2d_0c_1x7", 224, (1, 7))]
        long += [("Conv2d_0d_7x1", 224, (7, 1)), ("Conv2d_0e_1x7", 256, (1, 7))]
        values = mixed(
            values,
            f"Mixed_6{letter}",
            [("Conv2d_0a_1x1", 384, 1)],
            [("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_1x7", 224, (1, 7)), ("Conv2d_0c_7x1", 256, (7, 1))],
            long,
            [AVERAGE, ("Conv2d_0b_1x1", 128, 1)],
        )
    outputs["inception_b"] = values
    if with_auxiliary:
        outputs["auxiliary_logits"] = auxiliary(values, "Conv2d_2a", "Aux_logits")
    long = [("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_1x7", 256, (1, 7)), ("Conv2d_0c_7x1", 320, (7, 1)), ("Conv2d_1a_3x3", 320, 3, "halve")]
    values = mixed(values, "Mixed_7a", [("Conv2d_0a_1x1", 192, 1), ("Conv2d_1a_3x3", 192, 3, "halve")], long, [MAXIMUM])
    outputs["reduction_b"] = values
    for letter in "bcd":
        values = mixed(
            values,
            f"Mixed_7{letter}",
            [("Conv2d_0a_1x1", 256, 1)],
            [("Conv2d_0a_1x1", 384, 1), [("Conv2d_0b_1x3", 256, (1, 3)), ("Conv2d_0c_3x1", 256, (3, 1))]],
            [
                ("Conv2d_0a_1x1", 384, 1),
                ("Conv2d_0b_3x1", 448, (3, 1)),
                ("Conv2d_0c_1x3", 512, (1, 3)),
                [("Conv2d_0d_1x3", 256, (1, 3)), ("Conv2d_0e_3x1", 256, (3, 1))],
            ],
            [AVERAGE, ("Conv2d_0b_1x1", 256, 1)],
        )
    outputs["inception_c"] = values
    outputs["features"] = tf.reduce_mean(values, [1, 2])
    with v1.variable_scope("Logits"):
        outputs["logits"] = classifier(outputs["features"], "Logits")
    return outputs


def residual(values: tf.Tensor, scope: str, scale: float, relu: bool, *each: Sequence[Layer]) -> tf.Tensor:
    with v1.variable_scope(scope):
        joined = branches(values, *each)
        linear = slim.conv2d(joined, values.shape[3], 1, normalizer_fn=None, activation_fn=None, scope="Conv2d_1x1")
        values = values + scale * linear
        return tf.nn.relu(values) if relu else values


BLOCK_35 = (
    [("Conv2d_1x1", 32, 1)],
    [("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 32, 3)],
    [("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 48, 3), ("Conv2d_0c_3x3", 64, 3)],
)
BLOCK_17 = (
    [("Conv2d_1x1", 192, 1)],
    [("Conv2d_0a_1x1", 128, 1), ("Conv2d_0b_1x7", 160, (1, 7)), ("Conv2d_0c_7x1", 192, (7, 1))],
)
BLOCK_8 = (
    [("Conv2d_1x1", 192, 1)],
    [("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_1x3", 224, (1, 3)), ("Conv2d_0c_3x1", 256, (3, 1))],
)


def inception_resnet_v2(images: tf.Tensor, with_auxiliary: bool) -> dict[str, tf.Tensor]:
    outputs = {}
    values = chain(
        images,
        [
            ("Conv2d_1a_3x3", 32, 3, "halve"),
            ("Conv2d_2a_3x3", 32, 3, "valid"),
            ("Conv2d_2b_3x3", 64, 3),
            MAXIMUM,
            ("Conv2d_3b_1x1", 80, 1),
            ("Conv2d_4a_3x3", 192, 3, "valid"),
            MAXIMUM,
        ],
    )
    outputs["stem"] = values
    values = mixed(
        values,
        "Mixed_5b",
        [("Conv2d_1x1", 96, 1)],
        [("Conv2d_0a_1x1", 48, 1), ("Conv2d_0b_5x5", 64, 5)],
        [("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3), ("Conv2d_0c_3x3", 96, 3)],
        [AVERAGE, ("Conv2d_0b_1x1", 64, 1)],
    )
    outputs["mixed_5b"] = values
    for number in range(1, 11):
        values = residual(values, f"Repeat/block35_{number}", 0.17, True, *BLOCK_35)
    outputs["inception_resnet_a"] = values
    values = mixed(
        values,
        "Mixed_6a",
        [("Conv2d_1a_3x3", 384, 3, "halve")],
        [("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 256, 3), ("Conv2d_1a_3x3", 384, 3, "halve")],
        [MAXIMUM],
    )
    outputs["reduction_a"] = values
    for number in range(1, 21):
        values = residual(values, f"Repeat_1/block17_{number}", 0.10, True, *BLOCK_17)
    outputs["inception_resnet_b"] = values
    if with_auxiliary:
        outputs["auxiliary_logits"] = auxiliary(values, "Conv2d_2a_5x5", "Logits")
    values = mixed(
        values,
        "Mixed_7a",
        [("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 384, 3, "halve")],
        [("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 288, 3, "halve")],
        [("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 288, 3), ("Conv2d_1a_3x3", 320, 3, "halve")],
        [MAXIMUM],
    )
    outputs["reduction_b"] = values
    for number in range(1, 10):
        values = residual(values, f"Repeat_2/block8_{number}", 0.20, True, *BLOCK_8)
    outputs["inception_resnet_c"] = values
    values = residual(values, "Block8", 1.0, False, *BLOCK_8)
    outputs["last_inception_resnet_c"] = values
    values = convolution(values, ("Conv2d_7b_1x1", 1536, 1))
    outputs["conv_7b"] = values
    outputs["features"] = tf.reduce_mean(values, [1, 2])
    with v1.variable_scope("Logits"):
        outputs["logits"] = classifier(outputs["features"], "Logits")
    return outputs


def inception_v3(images: tf.Tensor, with_auxiliary: bool) -> dict[str, tf.Tensor]:
    logits, points = slim_inception_v3.inception_v3(images, CLASSES, is_training=False, create_aux_logits=with_auxiliary)
    outputs = {
        "stem": points["MaxPool_5a_3x3"],
        "inception_a": points["Mixed_5d"],
        "reduction_a": points["Mixed_6a"],
        "inception_b": points["Mixed_6e"],
        "reduction_b": points["Mixed_7a"],
        "inception_c": points["Mixed_7c"],
        "features": tf.squeeze(points["PreLogits"], [1, 2]),
        "logits": logits,
    }
    if with_auxiliary:
        outputs["auxiliary_logits"] = points["AuxLogits"]
    return outputs


# The network's outer variable scope, and its builder. tf_slim's own makes its scope by itself.
NETWORKS = {
    "inception_v3": ("InceptionV3", inception_v3),
    "inception_v4": ("InceptionV4", inception_v4),
    "inception_resnet_v2": ("InceptionResnetV2", inception_resnet_v2),
}


def build(network: str, shape: tuple[int, ...], with_auxiliary: bool, kind: tf.DType) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """The graph in inference form, in the default graph: the images' placeholder, NHWC, and the outputs by name."""
    scope, builder = NETWORKS[network]
    images = v1.placeholder(kind, shape, "images")
    # Without a collection for the updates tf_slim computes it by itself, and not by a layer that TensorFlow no longer has.
    batch_norm = {"is_training": False, "epsilon": 1e-3, "updates_collections": None, "fused": kind == tf.float32}
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=batch_norm, activation_fn=tf.nn.relu):
        if network == "inception_v3":
            return images, builder(images, with_auxiliary)
        with v1.variable_scope(scope):
            return images, builder(images, with_auxiliary)
