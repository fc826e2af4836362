"""Layers that compute what Keras' do, but faster on TensorFlow for the images of this study. They
leave everything else to Keras' own code. A saved model that has them loads once this module is
imported."""

import itertools

from .backend import keras, tf

TENSORFLOW = keras.backend.backend() == "tensorflow"
MAX_SIDE = 8
"""Largest side of feature maps whose weight gradients are products: benchmarks/mechanism.md."""
MIN_EPSILON = 1.001e-5
"""A smaller epsilon is left to Keras: older cuDNN refuses it."""


@keras.saving.register_keras_serializable("fmnist_keras")
class Conv2D(keras.layers.Conv2D):
    """A 3 × 3 convolution that keeps the size of small images computes its weight gradient as nine
    matrix products, one per weight, without the padding. oneDNN's takes up to ten times as long."""

    def convolution_op(self, inputs, kernel):
        """Outputs (batch, height, width, filters) of inputs (batch, height, width, channels)."""
        height, width = inputs.shape[1:3]
        small = height and width and max(height, width) <= MAX_SIDE
        size = self.kernel_size, self.strides, self.dilation_rate, self.groups, self.padding
        usual = size == ((3, 3), (1, 1), (1, 1), 1, "same")
        if not (TENSORFLOW and small and usual and self.data_format == "channels_last"):
            return super().convolution_op(inputs, kernel)
        return _convolution(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _convolution(x, kernel):
    def gradients(g):
        of_x = tf.nn.conv2d_transpose(g, kernel, tf.shape(x), 1, "SAME")
        return of_x, _weight_gradient(x, g)

    return tf.nn.conv2d(x, kernel, 1, "SAME"), gradients


def _weight_gradient(x, g):
    """Return the gradient (3, 3, channels, filters) with respect to the kernel, for inputs x and
    the outputs' gradient g. The weight at (i, j) connects each output with the input that lies
    i − 1 rows below it and j − 1 columns to its right."""

    def connected(images, down, right):
        """The part of the images that has a partner so far away, as rows of channels."""
        height, width = images.shape[1:3]
        rows = slice(max(down, 0), height + min(down, 0))
        columns = slice(max(right, 0), width + min(right, 0))
        return tf.reshape(images[:, rows, columns], (-1, images.shape[3]))

    products = [
        tf.matmul(connected(x, down, right), connected(g, -down, -right), transpose_a=True)
        for down, right in itertools.product((-1, 0, 1), repeat=2)
    ]
    return tf.reshape(tf.stack(products), (3, 3, x.shape[3], g.shape[3]))


@keras.saving.register_keras_serializable("fmnist_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """On images it is one fused operation instead of a dozen that each read and write all feature
    maps, where the deep CNN spent more than half of its time."""

    def call(self, inputs, training=None, mask=None):
        """Normalized inputs (batch, height, width, channels), in their dtype."""
        usual = self.center and self.scale and not self.renorm and not self.synchronized
        images = len(inputs.shape) == 4 and self.axis in (-1, 3) and mask is None
        images &= keras.backend.standardize_dtype(inputs.dtype) == self.compute_dtype
        weights = self.variable_dtype == "float32" and self.epsilon > MIN_EPSILON
        if not (TENSORFLOW and images and weights and usual):
            return super().call(inputs, training=training, mask=mask)
        training = bool(training) and self.trainable
        statistics = {} if training else dict(mean=self.moving_mean, variance=self.moving_variance)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=training, **statistics
        )
        if training:
            values = tf.cast(tf.size(inputs) / inputs.shape[-1], variance.dtype)
            variance *= (values - 1) / values  # from the unbiased one to the biased, as in Keras
            for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return outputs
