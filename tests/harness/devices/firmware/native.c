/* Host firmware for the device tests: waits for 'G', then does what each byte on the link says. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile unsigned char painted[256];
volatile unsigned command;

__attribute__((noinline)) void spin_here(void) {
  for (;;) {
  }
}

int main(int count, char **words) {
  char byte = 0;
  if (count != 3 || strcmp(words[1], "--link-fd") != 0) {
    return 2;
  }
  int link = atoi(words[2]);
  if (read(link, &byte, 1) != 1 || byte != 'G') {
    return 3;
  }
  while (read(link, &byte, 1) == 1) {
    switch (byte) {
      case 'e':
        return 5;
      case 'f':
        fprintf(stderr, "about to fault\n");
        *(volatile int *)16 = 1;
        break;
      case 'a':
        abort();
      case 's':
        spin_here();
        break;
      case 'k':
        raise(SIGKILL);
        break;
      case 'p':
        byte = (char)painted[0];
        break;
      default:
        ++byte;
    }
    if (write(link, &byte, 1) != 1) {
      return 4;
    }
  }
  return 0;
}
