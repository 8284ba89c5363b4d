// A certified OpenID provider (npm oidc-provider) whose tokens the tests choose: node provider.mjs PORT
// Each start makes new keys, so that a restart is a rotation. It ends when its standard input does.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Provider } from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

function key(kind, options, alg) {
  const { privateKey } = generateKeyPairSync(kind, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg };
}

// What only userinfo says, by sub, as Indigo IAM keeps it out of the token.
const userinfo = new Map();

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'tests', client_secret: 'tests', redirect_uris: [], response_types: [],
    grant_types: ['urn:tests:token'],
  }],
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
  routes: { userinfo: '/iam/userinfo' },
  ttl: { AccessToken: 86400 },
  formats: {
    customizers: {
      jwt: (ctx, token, parts) => {
        parts.header = { ...parts.header, ...JSON.parse(ctx.oidc.params.header ?? '{}') };
        Object.assign(parts.payload, JSON.parse(ctx.oidc.params.claims ?? '{}'));
        return parts;
      },
    },
  },
  features: { devInteractions: { enabled: false }, resourceIndicators: { enabled: true } },
});

const words = new Set(['sub', 'audience', 'claims', 'header', 'alg', 'userinfo']);
provider.registerGrantType('urn:tests:token', async (ctx) => {
  const { sub, audience, alg, userinfo: said } = ctx.oidc.params;
  if (said) userinfo.set(sub, { sub, ...JSON.parse(said) });
  const token = new provider.AccessToken({ accountId: sub, client: ctx.oidc.client, gty: 'tests', scope: 'openid' });
  token.resourceServer = new provider.ResourceServer(audience, {
    scope: 'openid', audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: alg ?? 'RS256' } },
  });
  ctx.body = { access_token: await token.save(), token_type: 'Bearer' };
}, words);

// oidc-provider's own userinfo takes no token that is meant for another audience; IAM's does.
provider.use(async (ctx, next) => {
  if (ctx.path !== '/iam/userinfo') return next();
  const [, payload] = (ctx.get('authorization').split(' ')[1] ?? '').split('.');
  ctx.body = userinfo.get(JSON.parse(Buffer.from(payload, 'base64url')).sub);
  ctx.status = ctx.body ? 200 : 401;
});

provider.on('server_error', (_, error) => console.error(error));
provider.listen(port, '127.0.0.1');
process.stdin.on('end', () => process.exit(0)).resume();
