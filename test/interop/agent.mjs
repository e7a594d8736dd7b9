// agent.mjs is an agent as a stranger would write it: the official SDK's client
// and transport, and a fetch that proves possession of a key (RFC 9449). It reads
// {issuer, server, key, statement, steps} from its input, does each step, a list or
// a call, and writes one line of JSON for each, after one with its token.
import { createHash, randomUUID, webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const { issuer, server, key, statement, steps } = JSON.parse(readFileSync(0, 'utf8'))
const { kty, crv, x, y, d } = JSON.parse(readFileSync(key, 'utf8'))
const jwk = { crv, kty, x, y } // in the order of RFC 7638
const base64url = (data) => Buffer.from(data).toString('base64url')
const sha256 = (text) => createHash('sha256').update(text).digest('base64url')
const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const privateKey = await webcrypto.subtle.importKey('jwk', { ...jwk, d }, ecdsa, false, ['sign'])
const seconds = () => Math.floor(Date.now() / 1000)

// sign makes a compact JWS (RFC 7515, ES256).
async function sign(header, claims) {
  const input = [{ alg: 'ES256', ...header }, claims].map((part) => base64url(JSON.stringify(part))).join('.')
  return `${input}.${base64url(await webcrypto.subtle.sign(ecdsa, privateKey, Buffer.from(input)))}`
}

// proof makes a DPoP proof for one request, bound to a token if there is one.
function proof(method, url, token) {
  const { origin, pathname } = new URL(url)
  const claims = { htm: method, htu: origin + pathname, jti: randomUUID(), iat: seconds() }
  if (token) claims.ath = sha256(token)
  return sign({ typ: 'dpop+jwt', jwk }, claims)
}

// take exchanges the mission that a person signed for a token (RFC 8693).
async function take(signed) {
  const { sub } = JSON.parse(Buffer.from(signed.split('.')[1], 'base64url'))
  const own = (typ) =>
    sign({ typ, kid: sha256(JSON.stringify(jwk)) }, { iss: sub, sub, aud: issuer, jti: randomUUID(), iat: seconds(), exp: seconds() + 60 })
  const jwt = 'urn:ietf:params:oauth:token-type:jwt'
  const url = `${issuer}/oauth/token`
  const response = await fetch(url, {
    method: 'POST',
    headers: { DPoP: await proof('POST', url) },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      client_id: sub,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await own('client-authentication+jwt'),
      subject_token: signed,
      subject_token_type: jwt,
      actor_token: await own('ambit-actor+jwt'),
      actor_token_type: jwt,
      resource: `${issuer}/mcp/${server}`,
    }),
  })
  const answer = await response.json()
  if (!response.ok || answer.token_type !== 'DPoP') throw new Error(`no token: ${JSON.stringify(answer)}`)
  return answer.access_token
}

const token = await take(readFileSync(statement, 'utf8').trim())
const bound = async (url, init = {}) => {
  const headers = new Headers(init.headers)
  headers.set('Authorization', `DPoP ${token}`)
  headers.set('DPoP', await proof(init.method ?? 'GET', url, token))
  return fetch(url, { ...init, headers })
}
const say = (line) => console.log(JSON.stringify(line))
say({ token })

const client = new Client({ name: 'interop', version: '1.0.0' })
await client.connect(new StreamableHTTPClientTransport(new URL(`${issuer}/mcp/${server}`), { fetch: bound }))
for (const { tool, arguments: args, progress } of steps) {
  const seen = []
  try {
    if (!tool) {
      say({ tools: (await client.listTools()).tools.map(({ name }) => name) })
      continue
    }
    const options = progress ? { onprogress: (p) => seen.push(p.progress) } : undefined
    const { content } = await client.callTool({ name: tool, arguments: args }, undefined, options)
    say({ text: content.map(({ text }) => text).join('\n'), progress: seen })
  } catch ({ code, message, data }) {
    say({ error: { code, message, data } })
  }
}
await client.close()
