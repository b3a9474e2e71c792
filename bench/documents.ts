/**
 * Documents to measure with: the size of a small Jazz document, one header and one sealed transaction each.
 */
import type { Append } from '@tidemark/storage'

const utf8 = new TextEncoder()
const seal = utf8.encode('signature_z5FsGkfLnZ9Yvf7r3D2r8c1pXnqj3Wv6m4sBzT8hKdQeRwYuAiHgJkLmNoPqRsTuVwXyZ')
// An agent's session: it has no account document to depend on.
export const session = (index: number) =>
  `sealer_z${String(index).padStart(24, 'A')}_session_z${String(index).padStart(12, 'B')}`
export const id = (index: number) => `co_z${String(index).padStart(27, 'd')}`
const transaction = (index: number) =>
  utf8.encode(
    `{"privacy":"private","madeAt":1763700000000,"keyUsed":"key_z9","encryptedChanges":"encrypted_U${String(index).padStart(140, 'x')}"}`,
  )
const header = (index: number) =>
  utf8.encode(
    `{"type":"comap","ruleset":{"type":"unsafeAllowAll"},"meta":null,"uniqueness":"z${index}","createdAt":"2026-11-01"}`,
  )
export const document = (index: number): Append => ({
  id: id(index),
  kind: 'json',
  priority: 3,
  header: header(index),
  runs: [{ session: session(index % 1_000), after: 0, transactions: [transaction(index)], seal }],
})
