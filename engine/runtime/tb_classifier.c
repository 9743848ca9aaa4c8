/* tb_classifier.c: the float32 classifier and its loss. exp and log are those of Cephes, without libm. */
#include "tb_internal.h"

typedef union {
  float value;
  uint32_t bits;
} float_bits_t;

float tb_expf(float x) {
  if (x < -87.0f) return 0.0f;
  const int32_t n = (int32_t)(x * 1.44269504f - 0.5f);
  const float power = (float)n;
  float r = x - power * 0.693359375f;
  r = r - power * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r);
  p = p + r;
  p = p + 1.0f;
  float_bits_t scale;
  scale.bits = (uint32_t)(n + 127) << 23;
  return p * scale.value;
}

float tb_logf(float x) {
  float_bits_t number;
  number.value = x;
  int32_t exponent = (int32_t)(number.bits >> 23) - 126;
  number.bits = (number.bits & 0x007fffffu) | 0x3f000000u; /* in [0.5, 1) */
  float m = number.value;
  if (m < 0.707106781f) {
    exponent -= 1;
    m = (m + m) - 1.0f;
  } else {
    m = m - 1.0f;
  }
  const float e = (float)exponent;
  const float z = m * m;
  float y = 7.0376836292e-2f;
  y = y * m + -1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m + -1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m + -1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m + -2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  y = y * m;
  y = y * z;
  y = y + -2.12194440e-4f * e;
  y = y + -0.5f * z;
  return (m + y) + 0.693359375f * e;
}

void tb_fully_connected_f32(const float *x, const float *weight, const float *bias, float *y, uint32_t classes,
                            uint32_t features) {
  for (uint32_t k = 0; k < classes; k++) {
    float sum = bias[k];
    for (uint32_t c = 0; c < features; c++) sum += *weight++ * x[c];
    y[k] = sum;
  }
}

float tb_softmax_cross_entropy_f32(const float *logits, uint32_t label, float *gradient, uint32_t classes) {
  float maximum = logits[0];
  for (uint32_t k = 1; k < classes; k++) maximum = logits[k] > maximum ? logits[k] : maximum;
  const float at_label = logits[label] - maximum; /* read before `gradient`, which may be `logits`, is written */
  float sum = 0.0f;
  for (uint32_t k = 0; k < classes; k++) {
    gradient[k] = tb_expf(logits[k] - maximum);
    sum += gradient[k];
  }
  for (uint32_t k = 0; k < classes; k++) gradient[k] = gradient[k] / sum - (k == label ? 1.0f : 0.0f);
  return tb_logf(sum) - at_label;
}

void tb_fully_connected_grad_input_f32(const float *dz, const float *weight, float *df, uint32_t classes,
                                       uint32_t features) {
  for (uint32_t c = 0; c < features; c++) df[c] = 0.0f;
  for (uint32_t k = 0; k < classes; k++) {
    for (uint32_t c = 0; c < features; c++) df[c] += dz[k] * *weight++;
  }
}
