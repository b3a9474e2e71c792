/**
 * The dialect `tidemark.1`: messages as few bytes, of documents of both kinds.
 *
 * It is written down in docs/protocol.md, with vectors beside this package that other implementations can be checked against.
 * Its readable twin is `tidemark.1.json`. Not here: encoding (tidemark-binary-encode.ts), decoding (-decode.ts).
 */
import type { Codec, Decoded, Dialect } from './dialect.ts'
import { DEFAULT_LIMITS, type Limits } from './limits.ts'
import { Announcer } from './names.ts'
import { createPeerLimits } from './peer-limits.ts'
import { Decoder } from './tidemark-binary-decode.ts'
import { createEncoder } from './tidemark-binary-encode.ts'

export const tidemarkBinary: Dialect = {
  name: 'tidemark.1',
  subprotocol: 'tidemark.1',
  text: false,
  traits: {
    hello: true,
    errors: true,
    done: true,
    digests: true,
    claimsStreams: false,
    knownFirst: false,
    kinds: ['json', 'bytes'],
  },
  createCodec,
}

function createCodec(limits: Partial<Limits> = {}): Codec {
  const inForce = { ...DEFAULT_LIMITS, ...limits }
  const { namesMax } = inForce
  const announcer = new Announcer()
  const peer = createPeerLimits()
  const decoder = new Decoder(inForce, (hello, offered) => {
    if (peer.hear(hello)) announcer.allow(Math.min(offered, namesMax))
  })
  return {
    decode: (frame) => decoder.decode(frame, false) as Iterable<Decoded>,
    decodeInPortions: (frame) => decoder.decode(frame, true),
    encode: createEncoder(announcer, namesMax, peer),
    keptBytes: () => announcer.bytes + decoder.names.bytes + decoder.openBytes,
  }
}
