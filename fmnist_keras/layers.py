"""Layers that compute what Keras' do: on TensorFlow, and for the images of this study, faster. All
else is left to Keras' own code. A saved model that has them loads once this module is imported."""

import itertools

from .backend import keras

TENSORFLOW = keras.backend.backend() == "tensorflow"
SMALL_IMAGE = 8
"""Largest side of feature maps whose weight gradients are products: benchmarks/mechanism.md."""


@keras.saving.register_keras_serializable("fmnist_keras")
class Conv2D(keras.layers.Conv2D):
    """A 3 × 3 convolution that keeps the size of small images has as its weight gradient a matrix
    product for each of the nine weights, which leaves the padding out; oneDNN's takes up to ten
    times as long."""

    def convolution_op(self, inputs, kernel):
        """Outputs (batch, height, width, filters) of inputs (batch, height, width, channels)."""
        height, width = inputs.shape[1:3]
        small = height and width and max(height, width) <= SMALL_IMAGE
        size = self.kernel_size, self.strides, self.dilation_rate, self.groups, self.padding
        usual = size == ((3, 3), (1, 1), (1, 1), 1, "same")
        if not (TENSORFLOW and small and usual and self.data_format == "channels_last"):
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        return _convolution(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))


def _convolution(x, kernel):
    import tensorflow as tf

    @tf.custom_gradient
    def convolution(x, kernel):
        def gradients(g):
            shape = tf.shape(x)
            of_x = tf.nn.conv2d_transpose(g, kernel, shape, 1, "SAME")
            return of_x, _weight_gradient(x, g)

        return tf.nn.conv2d(x, kernel, 1, "SAME"), gradients

    return convolution(x, kernel)


def _weight_gradient(x, g):
    """The gradient (3, 3, channels, filters) by a kernel, of inputs x and the outputs' gradient g.
    The weight at (i, j) joins each output with the input that lies i − 1 rows below it and j − 1
    columns to its right."""
    import tensorflow as tf

    def joined(images, down, right):
        """The part of images that has a partner so far away, as rows of channels."""
        height, width = images.shape[1:3]
        rows = slice(max(down, 0), height + min(down, 0))
        columns = slice(max(right, 0), width + min(right, 0))
        return tf.reshape(images[:, rows, columns], (-1, images.shape[3]))

    products = [
        tf.matmul(joined(x, down, right), joined(g, -down, -right), transpose_a=True)
        for down, right in itertools.product((-1, 0, 1), repeat=2)
    ]
    return tf.reshape(tf.stack(products), (3, 3, x.shape[3], g.shape[3]))


LEAST_EPSILON = 1.001e-5
"""A smaller one is left to Keras: cuDNN long refused it."""


@keras.saving.register_keras_serializable("fmnist_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Of images it is one fused operation in place of a dozen that each read and write all feature
    maps: the deep CNN spent more than half of its time there."""

    def call(self, inputs, training=None, mask=None):
        """Normalized inputs (batch, height, width, channels), in their dtype."""
        usual = self.center and self.scale and not self.renorm and not self.synchronized
        images = len(inputs.shape) == 4 and self.axis in (-1, 3) and mask is None
        images &= keras.backend.standardize_dtype(inputs.dtype) == self.compute_dtype
        weights = self.variable_dtype == "float32" and self.epsilon > LEAST_EPSILON
        if not (TENSORFLOW and images and weights and usual):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        training = bool(training) and self.trainable
        statistics = (
            {} if training else {"mean": self.moving_mean, "variance": self.moving_variance}
        )
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=training, **statistics
        )
        if training:
            values = tf.cast(tf.size(inputs) / inputs.shape[-1], variance.dtype)
            variance *= (values - 1) / values  # it is the unbiased one; Keras averages the biased
            for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return outputs
