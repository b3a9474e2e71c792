/**
 * A meter of what one socket holds of a message whose end has not come, from the headers of its frames (RFC 6455, section 5.2).
 *
 * A message may come in several frames with control frames in between, and its bytes in any chunks; what a chunk completes is held no more, and
 * what begins behind it is. ws keeps parts of a message as views, so a chunk that one byte of it lies in is held whole. Not here: whether frames are as they should be (ws closes those that are not), bounds (`frame-budget.ts`).
 */
export interface FrameMeter {
  /** Of the chunks in which the message lies that has begun. */
  readonly bytes: number
  /** Takes what came; answers whether a message ended in it. */
  take(chunk: Uint8Array): boolean
}

const FINAL = 0x80
const CONTROL = 0x08
const MASKED = 0x80

export function createFrameMeter(): FrameMeter {
  let held = 0
  /** Something of the message that has begun lies in this chunk. */
  let touched = false
  /** Of the frame that has begun: its header as far as it is there, and what of its payload is still to come. */
  let header: number[] = []
  let left = 0
  let isControl = false
  let isFinal = false

  /** Whether that was the end of a message. */
  function endFrame(): boolean {
    if (isControl || !isFinal) return false
    held = 0
    touched = false
    return true
  }

  function begin(): void {
    const [first = 0] = header
    isControl = (first & CONTROL) !== 0
    isFinal = (first & FINAL) !== 0
    left = payloadLength(header)
    if (!isControl) touched = true
    header = []
  }

  return {
    get bytes() {
      return held
    },
    take(chunk) {
      let ended = false
      touched = false
      for (let at = 0; at < chunk.length; ) {
        if (left === 0) {
          header.push(chunk[at++] as number)
          if (header.length < headerLength(header)) continue
          begin()
        }
        const come = Math.min(left, chunk.length - at)
        left -= come
        at += come
        if (!isControl && come > 0) touched = true
        if (left === 0) ended = endFrame() || ended
      }
      if (touched) held += chunk.length
      return ended
    },
  }
}

/** As far as the first two bytes tell. */
function headerLength([, second]: readonly number[]): number {
  if (second === undefined) return 2
  const mask = (second & MASKED) === 0 ? 0 : 4
  const length = second & 0x7f
  return 2 + mask + (length === 127 ? 8 : length === 126 ? 2 : 0)
}

function payloadLength([, second = 0, ...rest]: readonly number[]): number {
  const length = second & 0x7f
  if (length < 126) return length
  return rest.slice(0, length === 126 ? 2 : 8).reduce((sum, byte) => sum * 256 + byte, 0)
}
