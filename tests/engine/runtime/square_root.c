/* square_root.c: both square roots of tb_square_root.h as functions over arrays of float32. */
#include "tb_square_root.h"

void by_instruction(const float *values, float *roots, uint32_t count);
void by_integers(const float *values, float *roots, uint32_t count);

void by_instruction(const float *values, float *roots, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) roots[i] = tb_square_root(values[i]);
}

void by_integers(const float *values, float *roots, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) roots[i] = tb_square_root_of_bits(values[i]);
}
