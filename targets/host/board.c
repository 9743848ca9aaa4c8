/* The host process as a board: the link is an inherited descriptor, the ticks are nanoseconds of the monotonic clock.
 *
 * Usage: firmware --link-fd N. Nothing runs before the byte 'G' arrives on N: until then the harness paints memory.
 */
#define _XOPEN_SOURCE 700
#include "board.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "agent.h"

#define HOST_STACK_BYTES ((size_t)TRAINBENCH_STACK_BYTES)
#define HOST_GUARD_BYTES 65536u /* at least a page, on every page size */
#define GO 'G'

extern uint8_t __sram_start[];

/* The trainer runs on this stack, so that its bounds are known and it can be painted; the guard makes it fault. */
__attribute__((section(".stack"), aligned(HOST_GUARD_BYTES))) static uint8_t host_stack[HOST_GUARD_BYTES +
                                                                                        HOST_STACK_BYTES];
static int host_link = -1;
static uint8_t host_buffer[4096];
static size_t host_buffered, host_consumed;
static struct timespec host_began;
static ucontext_t host_main_context, host_agent_context;

static void host_fail(const char *what) {
  fprintf(stderr, "firmware: %s: %s\n", what, strerror(errno));
  exit(3);
}

void board_init(void) {}

/* The harness closed the link: leave through main, on its own stack, as exit handlers expect. */
static void host_end(void) {
  setcontext(&host_main_context);
  host_fail("setcontext");
}

/* Wait for the link at most `milliseconds` (-1: for ever) and read what is there. End of file ends the process. */
static void host_fill(int milliseconds) {
  struct pollfd link = {host_link, POLLIN, 0};
  int ready = poll(&link, 1, milliseconds);
  if (ready < 0 && errno != EINTR) host_fail("poll");
  if (ready <= 0) return;
  ssize_t count = read(host_link, host_buffer, sizeof host_buffer);
  if (count == 0) host_end();
  if (count < 0) {
    if (errno == EINTR || errno == EAGAIN) return;
    if (errno == ECONNRESET) host_end();
    host_fail("read");
  }
  host_buffered = (size_t)count;
  host_consumed = 0;
}

int board_uart_read(void) {
  if (host_consumed == host_buffered) host_fill(0);
  if (host_consumed == host_buffered) return -1;
  return host_buffer[host_consumed++];
}

void board_wait(void) {
  if (host_consumed == host_buffered) host_fill(-1);
}

void board_uart_write(const uint8_t *data, uint32_t length) {
  while (length > 0) {
    ssize_t count = write(host_link, data, length);
    if (count > 0) {
      data += count;
      length -= (uint32_t)count;
    } else if (errno == EAGAIN) {
      struct pollfd link = {host_link, POLLOUT, 0};
      if (poll(&link, 1, -1) < 0 && errno != EINTR) host_fail("poll");
    } else if (errno == EPIPE || errno == ECONNRESET) {
      host_end();
    } else if (errno != EINTR) {
      host_fail("write");
    }
  }
}

void board_measure_begin(void) { clock_gettime(CLOCK_MONOTONIC, &host_began); }

void board_measure_end(void) {}

uint64_t board_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t seconds = (int64_t)now.tv_sec - (int64_t)host_began.tv_sec;
  return (uint64_t)(seconds * 1000000000 + (int64_t)now.tv_nsec - (int64_t)host_began.tv_nsec);
}

uint32_t board_tick_unit(void) { return BOARD_NANOSECONDS; }

uint32_t board_ticks_per_count(void) { return 1; }

board_range_t board_stack(void) {
  return (board_range_t){(uintptr_t)host_stack + HOST_GUARD_BYTES, (uintptr_t)host_stack + sizeof host_stack};
}

board_range_t board_memory(uint32_t index) {
  if (index == 0) return (board_range_t){(uintptr_t)__sram_start, (uintptr_t)host_stack};
  if (index == 1) return board_stack();
  return (board_range_t){0, 0};
}

static int parse_descriptor(int count, char **words) {
  char *end = NULL;
  if (count != 3 || strcmp(words[1], "--link-fd") != 0) return -1;
  long number = strtol(words[2], &end, 10);
  return *words[2] == '\0' || *end != '\0' || number < 0 || number > 1 << 20 ? -1 : (int)number;
}

int main(int count, char **words) {
  host_link = parse_descriptor(count, words);
  if (host_link < 0) {
    fprintf(stderr, "usage: %s --link-fd N\n", words[0]);
    return 2;
  }
  uint8_t go = 0;
  ssize_t got;
  do {
    got = read(host_link, &go, 1);
  } while (got < 0 && errno == EINTR);
  if (got < 0) host_fail("read");
  if (got == 0) return 0;
  if (go != GO) {
    fprintf(stderr, "firmware: the first byte on the link is 0x%02x instead of 'G'\n", go);
    return 3;
  }
  if (mprotect(host_stack, HOST_GUARD_BYTES, PROT_NONE) != 0) host_fail("mprotect");
  if (getcontext(&host_agent_context) != 0) host_fail("getcontext");
  host_agent_context.uc_stack.ss_sp = host_stack + HOST_GUARD_BYTES;
  host_agent_context.uc_stack.ss_size = HOST_STACK_BYTES;
  makecontext(&host_agent_context, agent_main, 0);
  if (swapcontext(&host_main_context, &host_agent_context) != 0) host_fail("swapcontext");
  if (mprotect(host_stack, HOST_GUARD_BYTES, PROT_READ | PROT_WRITE) != 0) host_fail("mprotect");
  return 0;
}
