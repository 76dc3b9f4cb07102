/* Where the engine's two edges tell the capture of a frame; only called when one runs. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <base/frame.h>
#include <net/capture.h>

void capture_received(struct net_capture *c, const struct frame_rx *frame, uint64_t now_ns);
void capture_sent(struct net_capture *c, const struct frame_tx *frame, uint64_t now_ns);

#endif
