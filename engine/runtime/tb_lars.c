/* tb_lars.c: layer-wise adaptive rate scaling (You et al., 2017): momentum of gradients that have a norm in proportion to that of
 * their tensor. Gradients lie in the accumulator until all of a tensor's are there. */
#include "tb_rules.h"
#include "tb_square_root.h"

#define TRUST 0.001f

enum { CHUNK = 16 }; /* values that are updated at once */

/* Sums of squares of a tensor's values and of its scaled gradients: of a row, and of the rows before. */
typedef struct {
  float row[2], total[2];
} tb_squares_t;

static const tb_squares_t no_squares = {{0.0f, 0.0f}, {0.0f, 0.0f}};

/* Value `index` of a tensor, and its gradient, which is -scale * mean as kernels give it to a rule. */
static void add_squares(tb_squares_t *squares, const tb_update_t *update, const tb_step_t *step, uint32_t index, float value,
                        float scale) {
  const float kept = tb_rule_gradient(value), gradient = tb_rule_gradient(scale * (update->accumulator[index] * step->mean));
  squares->row[0] += kept * kept;
  squares->row[1] += gradient * gradient;
}

static void end_row(tb_squares_t *squares) {
  for (uint32_t i = 0; i < 2; i++) {
    squares->total[i] += squares->row[i];
    squares->row[i] = 0.0f;
  }
}

/* What gradients are multiplied with. */
static float trust_of(const tb_squares_t *squares) {
  const float values = tb_square_root(squares->total[0]), gradients = tb_square_root(squares->total[1]);
  return values > 0.0f && gradients > 0.0f ? (TRUST * values) / gradients : 1.0f;
}

/* An update that applies what the accumulator holds. */
typedef struct {
  tb_rule_t rule;
  tb_update_t update;
  tb_step_t step;
} tb_lars_t;

static void begin(tb_lars_t *lars, const tb_update_t *update, const tb_step_t *step, const tb_squares_t *squares) {
  lars->rule = *update->rule;
  lars->rule.trust = trust_of(squares);
  lars->update = *update;
  lars->update.rule = &lars->rule;
  lars->step = *step;
  lars->step.apply = 1;
}

void tb_lars_i8(int8_t *weights, const tb_update_t *update, const tb_step_t *step, const uint16_t *channels, uint32_t rows,
                uint32_t columns) {
  tb_squares_t squares = no_squares;
  tb_lars_t lars;
  if (!step->whole) return;
  for (uint32_t row = 0; row < rows; row++, end_row(&squares)) {
    const float scale = update->scale[channels == NULL ? row : channels[row]];
    for (uint32_t i = row * columns; i < (row + 1) * columns; i++) {
      add_squares(&squares, update, step, i, (float)weights[i], scale);
    }
  }
  begin(&lars, update, step, &squares);
  const tb_stream_t stream = tb_open_stream(&lars.update, &lars.step);
  for (uint32_t row = 0; row < rows; row++) {
    const float scale = update->scale[channels == NULL ? row : channels[row]];
    for (uint32_t c = 0, count; c < columns; c += count) {
      float gradients[CHUNK], rates[CHUNK];
      count = tb_minimum(CHUNK, columns - c);
      for (uint32_t i = 0; i < count; i++) {
        gradients[i] = 0.0f;
        rates[i] = scale;
      }
      tb_apply_i8(&stream, weights, row * columns + c, 1, gradients, rates, count);
    }
  }
}

void tb_lars_i32(int32_t *biases, const tb_update_t *update, const tb_step_t *step, uint32_t count, int32_t limit) {
  tb_squares_t squares = no_squares;
  tb_lars_t lars;
  if (!step->whole) return;
  for (uint32_t i = 0; i < count; i++) add_squares(&squares, update, step, i, (float)biases[i], update->scale[i]);
  end_row(&squares);
  begin(&lars, update, step, &squares);
  for (uint32_t first = 0, some; first < count; first += some) {
    float gradients[CHUNK];
    some = tb_minimum(CHUNK, count - first);
    for (uint32_t i = 0; i < some; i++) gradients[i] = 0.0f;
    lars.update.scale = update->scale + first;
    lars.update.accumulator = update->accumulator + first;
    lars.update.first = first;
    const tb_stream_t stream = tb_open_stream(&lars.update, &lars.step);
    tb_apply_biases(&stream, biases + first, gradients, some, limit);
  }
}

void tb_lars_f32(float *values, const tb_update_t *update, const tb_step_t *step, uint32_t rows, uint32_t columns) {
  tb_squares_t squares = no_squares;
  tb_lars_t lars;
  const uint32_t size = rows * columns;
  if (!step->whole) return;
  for (uint32_t row = 0; row < rows; row++, end_row(&squares)) {
    for (uint32_t i = row * columns; i < (row + 1) * columns; i++) add_squares(&squares, update, step, i, values[i], 1.0f);
  }
  begin(&lars, update, step, &squares);
  const tb_stream_t stream = tb_open_stream(&lars.update, &lars.step);
  for (uint32_t index = 0, count; index < size; index += count) {
    float gradients[CHUNK];
    count = tb_minimum(CHUNK, size - index);
    for (uint32_t i = 0; i < count; i++) gradients[i] = 0.0f;
    tb_apply_f32(&stream, values, index, gradients, count);
  }
}
