/** What Jazz documents name; checked against npm cojson 0.20.19. */
import { describe, expect, test } from 'vitest'
import { jazzDependencies, jazzIsTombstone } from '../src/index.ts'
import { utf8 } from './help.ts'

const header = (fields: object) => utf8(JSON.stringify({ type: 'comap', meta: null, uniqueness: 'z1', ...fields }))
const owned = header({ ruleset: { type: 'ownedByGroup', group: 'co_zGroup' } })
const group = header({ ruleset: { type: 'group', initialAdmin: 'co_zAlice' } })
const branch = header({
  ruleset: { type: 'ownedByGroup', group: 'co_zGroup' },
  meta: { branch: 'draft', source: 'co_zSource' },
})

describe('dependencies of a Jazz document', () => {
  test('the group that owns it', () => expect(jazzDependencies(owned, [])).toEqual(['co_zGroup']))
  test('the document it is a branch of', () =>
    expect(jazzDependencies(branch, [])).toEqual(['co_zGroup', 'co_zSource']))
  test('a group and a document that nobody owns name none', () => {
    expect(jazzDependencies(group, [])).toEqual([])
    expect(jazzDependencies(header({ ruleset: { type: 'unsafeAllowAll' } }), [])).toEqual([])
  })
  test('the accounts that wrote its sessions, each once, and no agents', () => {
    const sessions = [
      'co_zAlice_session_z1',
      'co_zAlice_session_z2',
      'co_zBob_session_d3$',
      'sealer_z1/signer_z2_session_z4',
      'other',
    ]
    expect(jazzDependencies(owned, sessions)).toEqual(['co_zGroup', 'co_zAlice', 'co_zBob'])
    expect(jazzDependencies(undefined, sessions)).toEqual(['co_zAlice', 'co_zBob'])
  })
  test('never itself', () => {
    expect(jazzDependencies(group, ['co_zAlice_session_z1'], 'co_zAlice')).toEqual([])
  })
  test('nothing that could not be asked for', () => {
    for (const source of [5, null, '', 'note', 'co_', 'co_z\ud800', `co_z${'x'.repeat(300)}`, ['co_zA'], { a: 1 }])
      expect(
        jazzDependencies(header({ ruleset: { type: 'ownedByGroup', group: source }, meta: { source } }), []),
      ).toEqual([])
  })
  test('a header that is not one of Jazz names nothing', () => {
    for (const text of [
      '',
      'x',
      'null',
      '5',
      '[]',
      '{}',
      '{"ruleset":5,"meta":"x"}',
      '{"__proto__":{"meta":{"source":"co_zA"}}}',
    ])
      expect(jazzDependencies(utf8(text), [])).toEqual([])
    expect(jazzDependencies(Uint8Array.of(0xff), [])).toEqual([])
  })
})

describe('a tombstone of a Jazz document', () => {
  const deletion = 'co_zAlice_session_dAbC$'
  test('is a session for deletion', () => {
    expect(jazzIsTombstone(deletion)).toBe(true)
    expect(jazzIsTombstone(deletion, owned)).toBe(true)
    expect(jazzIsTombstone('sealer_z1/signer_z2_session_d4$', owned)).toBe(true)
  })
  test('is no other session', () => {
    for (const session of ['co_zAlice_session_z1', 'co_zAlice_session_z1$', 'co_zAlice_session_d1', '$', ''])
      expect(jazzIsTombstone(session, owned)).toBe(false)
  })
  test('is not in a group or an account, which cannot be deleted', () =>
    expect(jazzIsTombstone(deletion, group)).toBe(false))
})
