/**
 * TLS without a proxy: a server of `node:https` that is handed in. The key is a fixture that everybody knows.
 */
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer, get } from 'node:https'
import { tidemarkJson } from '@tidemark/protocol'
import { nodeWebSocket } from '@tidemark/websocket/node'
import { expect, test } from 'vitest'
import { until, withServer } from './help.ts'

const fixture = (name: string) => readFileSync(new URL(`fixtures/test-only-${name}.pem`, import.meta.url))
const certificate = fixture('certificate')

test('a server of node:https carries sync and health, and is closed along', () => {
  const http = createHttpsServer({ key: fixture('key'), cert: certificate })
  return withServer({ listen: { http } }, async ({ url, listening, server }) => {
    expect(url).toMatch(/^wss:\/\/127\.0\.0\.1:\d+$/)
    const connect = nodeWebSocket(url, { dialect: tidemarkJson, ca: certificate })
    const channel = await connect(new AbortController().signal)
    const heard: string[] = []
    channel.open({
      frame: (frame) => heard.push(Buffer.from(frame as Uint8Array).toString()),
      drained() {},
      closed() {},
    })
    channel.send(JSON.stringify({ type: 'load', id: 'note', header: false, sessions: {} }))
    await until('hello and the answer', () => heard.join('').includes('"known"'))
    const status = await new Promise((resolve, reject) => {
      get(`${url.replace('wss:', 'https:')}/health`, { ca: certificate }, (response) => {
        response.resume()
        resolve(response.statusCode)
      }).on('error', reject)
    })
    expect(status).toBe(200)
    expect(server.health().connections).toBe(1)
    await listening.close()
    expect(http.listening).toBe(false)
  })
})

test('whoever does not know the certificate does not connect', () => {
  const http = createHttpsServer({ key: fixture('key'), cert: certificate })
  return withServer({ listen: { http } }, async ({ url, server }) => {
    const connect = nodeWebSocket(url, { dialect: tidemarkJson })
    await expect(connect(new AbortController().signal)).rejects.toMatchObject({ code: 'unreachable' })
    expect(server.health().connections).toBe(0)
  })
})

test('a server of node:http that is handed in keeps its own settings', () => {
  const http = createHttpServer({ maxHeaderSize: 1_024 })
  return withServer({ listen: { http } }, async ({ url, get: ask }) => {
    expect(await ask('/health')).toMatchObject({ status: 200 })
    const response = await fetch(`${url.replace('ws:', 'http:')}/health`, { headers: { long: 'x'.repeat(2_000) } })
    expect(response.status).toBe(431)
  })
})
