/**
 * Base64 (RFC 4648, with padding) by the fastest means of the runtime: its own methods, else Node's `Buffer`, else `btoa`.
 *
 * Decoding is strict: only the text that encoding would have made is accepted, so bytes have exactly one spelling.
 */

export interface Base64 {
  encode(bytes: Uint8Array): string
  /** `undefined` if `text` is not base64. */
  decode(text: string): Uint8Array | undefined
}

/** The parts of a global scope that can help; all but the last two may be missing. */
export interface Base64Scope {
  readonly Uint8Array: { readonly fromBase64?: (text: string) => Uint8Array; readonly prototype: object }
  readonly Buffer?: {
    from(text: string, encoding: 'base64'): Uint8Array
    from(buffer: ArrayBufferLike, start: number, length: number): { toString(encoding: 'base64'): string }
  }
  atob(text: string): string
  btoa(binary: string): string
}

/** As many arguments as any engine takes. */
const CHUNK = 0x2000

export function base64In(scope: Base64Scope): Base64 {
  const encode = encoderIn(scope)
  const decode = decoderIn(scope)
  return {
    encode,
    decode(text) {
      if (text.length % 4 !== 0) return undefined
      try {
        const bytes = decode(text)
        return encode(bytes) === text ? bytes : undefined
      } catch {
        return undefined
      }
    },
  }
}

function encoderIn({ Uint8Array: Bytes, Buffer, btoa }: Base64Scope): Base64['encode'] {
  if ('toBase64' in Bytes.prototype) return (bytes) => (bytes as Uint8Array & { toBase64(): string }).toBase64()
  if (Buffer !== undefined)
    return (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  return (bytes) => {
    let binary = ''
    for (let index = 0; index < bytes.length; index += CHUNK)
      binary += String.fromCharCode(...bytes.subarray(index, index + CHUNK))
    return btoa(binary)
  }
}

function decoderIn({ Uint8Array: Bytes, Buffer, atob }: Base64Scope): (text: string) => Uint8Array {
  const { fromBase64 } = Bytes
  if (fromBase64 !== undefined) return (text) => fromBase64.call(Bytes, text)
  // Copied: a small Buffer is a view into a pool that others share.
  if (Buffer !== undefined) return (text) => new Uint8Array(Buffer.from(text, 'base64'))
  return (text) => {
    const binary = atob(text)
    const bytes = new Uint8Array(binary.length)
    for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index)
    return bytes
  }
}

export const base64: Base64 = base64In(globalThis as unknown as Base64Scope)
