/* Trains at the learning rate that standard input begins with, on the images that follow, one byte of label before
 * each; writes losses, logits and state. */
#include <stdio.h>

#include "trainer.h"

int main(void) {
  const trainer_info_t *info = trainer_info();
  float learning_rate;
  if (fread(&learning_rate, sizeof learning_rate, 1, stdin) != 1) return 1;
  trainer_reset(7u);
  trainer_set_learning_rate(learning_rate);
  for (int label = getchar(); label != EOF; label = getchar()) {
    if (fread(trainer_input(), 1, info->input_bytes, stdin) != info->input_bytes) return 1;
    const float loss = trainer_train_step((uint32_t)label);
    fwrite(&loss, sizeof loss, 1, stdout);
    fwrite(trainer_logits(), sizeof(float), info->classes, stdout);
  }
  for (uint32_t i = 0; i < trainer_state_count(); i++) {
    const trainer_span_t span = trainer_state_span(i);
    fwrite(span.data, 1, span.bytes, stdout);
  }
  return 0;
}
