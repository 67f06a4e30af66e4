"""Procedural video clips and the condition tokens that describe them.

A clip shows one to three shapes that move, bounce off the borders, rotate, cast a soft shadow and occlude each other
over a textured background that moves too. Everything is drawn on the device in a few vectorised tensor expressions.

The condition is four tokens of 64 features, "a few words" per thing: token 0 the background, tokens 1 to 3 the shapes
(later ones lie above earlier ones). A token of zeros means "not there"; four tokens of zeros mean "no condition".
What the tokens do not say (where in its texture the background starts, the random field of the noise texture) the model
has to invent and then keep consistent along the motion over all frames: this is what needs attention across frames.

    0      is a background            1      is a shape
    2-7    shape, one-hot: disc square triangle ring cross star
    8-10   first colour, RGB in [-1, 1]      11-13  second colour
    14-17  texture, one-hot: background stripes plaid checker noise; shape solid stripes checker halves
    18,19  x, y at frame 0, [-1, 1] over the picture (shapes)
    20,21  velocity x, y, in units of 2 pixels per frame
    22     size: shape radius / 8 pixels; background texture period / 16 pixels
    23,24  cos, sin of the angle at frame 0 (shapes), of the texture's direction (background)
    25     rotation, in units of 0.25 radian per frame (shapes)
    26-28  one-hot layer of a shape
    30-33  x, y at frame 8; x, y at frame 15 (shapes)
    34-37  cos, sin of the angle at frame 8; the same at frame 15 (shapes)
    38-61  the three places again as sin and cos of pi x, pi y, 2 pi x, 2 pi y (shapes)
    29, 62, 63 unused, zero
"""
import math

import torch

SIZE = 32
SHAPES = ("disc", "square", "triangle", "ring", "cross", "star")
GROUND_TEXTURES = ("stripes", "plaid", "checker", "noise")
SHAPE_TEXTURES = ("solid", "stripes", "checker", "halves")
OBJECTS = 3
TOKENS, FEATURES = 1 + OBJECTS, 64
WAYPOINTS = (0, 8, 15)


def _hsv(h, s, v):
    k = (torch.tensor([5.0, 3.0, 1.0], device=h.device) + h[..., None] * 6) % 6
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return v[..., None] * (1 - s[..., None] * ramp)


def sample_scenes(n, device, generator=None):
    """Random scenes: a dict of tensors with leading dimension n."""
    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(n, *shape, device=device, generator=generator)

    def pick(count, *shape):
        return torch.randint(count, (n, *shape), device=device, generator=generator)

    hue = uniform(0, 1)
    ground_first = _hsv(hue, uniform(0.3, 0.8), uniform(0.45, 0.75))
    ground_second = _hsv(hue + uniform(-0.2, 0.2), uniform(0.3, 0.8), uniform(0.1, 0.3))
    ground_direction = uniform(0, 2 * math.pi)
    ground_speed = uniform(0.25, 1.5)
    count = 1 + (uniform(0, 1)[:, None] > torch.tensor([0.25, 0.65], device=device)).sum(1)
    radius = uniform(5.0, 8.5, OBJECTS)
    shape_hue = uniform(0, 1, OBJECTS)
    direction, speed = uniform(0, 2 * math.pi, OBJECTS), uniform(0.5, 2.0, OBJECTS)
    start = radius[..., None] + uniform(0, 1, OBJECTS, 2) * (SIZE - 2 * radius[..., None])
    return {
        "present": (torch.arange(OBJECTS, device=device) < count[:, None]).float(),
        "shape": pick(len(SHAPES), OBJECTS),
        "texture": pick(len(SHAPE_TEXTURES), OBJECTS),
        "first": _hsv(shape_hue, uniform(0.55, 1, OBJECTS), uniform(0.8, 1, OBJECTS)),
        "second": _hsv(shape_hue + uniform(0.2, 0.8, OBJECTS), uniform(0.3, 1, OBJECTS), uniform(0.6, 1, OBJECTS)),
        "start": start,
        "velocity": torch.stack([direction.cos(), direction.sin()], -1) * speed[..., None],
        "radius": radius,
        "angle": uniform(0, 2 * math.pi, OBJECTS),
        "spin": uniform(-0.25, 0.25, OBJECTS),
        "ground_texture": pick(len(GROUND_TEXTURES)),
        "ground_first": ground_first,
        "ground_second": ground_second,
        "ground_velocity": torch.stack([ground_direction.cos(), ground_direction.sin()], -1) * ground_speed[:, None],
        "ground_period": uniform(9, 16),
        "ground_angle": uniform(0, math.pi),
        # not in the condition:
        "ground_origin": uniform(0, 64, 2),
        "ground_noise": uniform(0, 1, 16 * 16),
    }


def condition_tokens(scene):
    """[n, 4, 64] fp32, the layout above."""
    n, device = scene["radius"].shape[0], scene["radius"].device
    tokens = torch.zeros(n, TOKENS, FEATURES, device=device)

    def one_hot(index, count):
        return torch.nn.functional.one_hot(index, count).float()

    ground, shapes = tokens[:, 0], tokens[:, 1:]
    ground[:, 0] = 1
    ground[:, 8:11] = scene["ground_first"] * 2 - 1
    ground[:, 11:14] = scene["ground_second"] * 2 - 1
    ground[:, 14:18] = one_hot(scene["ground_texture"], 4)
    ground[:, 20:22] = scene["ground_velocity"] / 2
    ground[:, 22] = scene["ground_period"] / 16
    ground[:, 23] = scene["ground_angle"].cos()
    ground[:, 24] = scene["ground_angle"].sin()

    shapes[..., 1] = 1
    shapes[..., 2:8] = one_hot(scene["shape"], 6)
    shapes[..., 8:11] = scene["first"] * 2 - 1
    shapes[..., 11:14] = scene["second"] * 2 - 1
    shapes[..., 14:18] = one_hot(scene["texture"], 4)
    places = positions(scene, torch.tensor(WAYPOINTS, dtype=torch.float32, device=device)) / (SIZE / 2) - 1
    angles = [scene["angle"] + frame * scene["spin"] for frame in WAYPOINTS]
    shapes[..., 18:20] = places[:, :, 0]
    shapes[..., 20:22] = scene["velocity"] / 2
    shapes[..., 22] = scene["radius"] / 8
    shapes[..., 23] = angles[0].cos()
    shapes[..., 24] = angles[0].sin()
    shapes[..., 25] = scene["spin"] / 0.25
    shapes[..., 26:29] = torch.eye(OBJECTS, device=device)
    shapes[..., 30:34] = places[:, :, 1:].flatten(2)
    shapes[..., 34:38] = torch.stack([angles[1].cos(), angles[1].sin(), angles[2].cos(), angles[2].sin()], -1)
    waves = torch.cat([f(math.pi * k * places) for k in (1, 2) for f in (torch.sin, torch.cos)], -1)
    shapes[..., 38:62] = waves.flatten(2)
    shapes *= scene["present"][..., None]
    return tokens


def _noise(grid, u, v):
    """Smooth periodic value noise: grid [n, 256] of 16 x 16 cells, u and v [n, F, Y, X] in cells."""
    n, shape = grid.shape[0], u.shape
    u0, v0 = u.floor(), v.floor()
    fu, fv = u - u0, v - v0
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    u0, v0 = u0.long(), v0.long()

    def cell(du, dv):
        index = ((v0 + dv) % 16) * 16 + (u0 + du) % 16
        return grid.gather(1, index.reshape(n, -1)).reshape(shape)

    top = cell(0, 0) * (1 - fu) + cell(1, 0) * fu
    bottom = cell(0, 1) * (1 - fu) + cell(1, 1) * fu
    return top * (1 - fv) + bottom * fv


def _ground(scene, x, y, t):
    def per_clip(name, *index):
        return scene[name][(slice(None), *index)].view(-1, 1, 1, 1)

    x = x - per_clip("ground_velocity", 0) * t + per_clip("ground_origin", 0)
    y = y - per_clip("ground_velocity", 1) * t + per_clip("ground_origin", 1)
    cos, sin, period = per_clip("ground_angle").cos(), per_clip("ground_angle").sin(), per_clip("ground_period")
    u, v = (x * cos + y * sin) / period, (y * cos - x * sin) / period
    wave_u, wave_v = torch.sin(2 * math.pi * u), torch.sin(2 * math.pi * v)
    textures = torch.stack([
        0.5 + 0.5 * wave_u,
        0.5 + 0.25 * (wave_u + wave_v),
        0.5 + 0.5 * torch.tanh(4 * wave_u * wave_v),
        0.5 + 0.5 * torch.tanh(4 * _noise(scene["ground_noise"], u * 1.5, v * 1.5) - 2),
    ], 1)
    choice = torch.nn.functional.one_hot(scene["ground_texture"], 4).float().view(-1, 4, 1, 1, 1)
    mix = (textures * choice).sum(1)[:, None]
    first, second = (scene[k].view(-1, 3, 1, 1, 1) for k in ("ground_first", "ground_second"))
    return mix * first + (1 - mix) * second


def _distance(shape, u, v):
    """Signed distance, in radii, to each shape in its own frame; shape [n] selects."""
    radius = torch.sqrt(u * u + v * v + 1e-8)
    au, av = u.abs(), v.abs()
    triangle = torch.stack([u * math.cos(a) + v * math.sin(a) for a in (math.pi / 2, math.pi * 7 / 6, math.pi * 11 / 6)])
    forms = torch.stack([
        radius - 0.95,
        torch.maximum(au, av) - 0.8,
        triangle.amax(0) - 0.58,
        (radius - 0.7).abs() - 0.27,
        torch.minimum(torch.maximum(au - 0.98, av - 0.34), torch.maximum(au - 0.34, av - 0.98)),
        radius - 0.7 - 0.28 * torch.cos(5 * torch.atan2(v, u)),
    ], 1)
    choice = torch.nn.functional.one_hot(shape, len(SHAPES)).float().view(-1, len(SHAPES), 1, 1, 1)
    return (forms * choice).sum(1)


def positions(scene, t):
    """Centres [n, objects, len(t), 2] in pixels: straight motion, reflected one radius before the borders."""
    radius = scene["radius"][:, :, None, None]
    span = SIZE - 2 * radius
    path = scene["start"][:, :, None] - radius + scene["velocity"][:, :, None] * t.view(1, 1, -1, 1)
    return radius + span - ((path % (2 * span)) - span).abs()


def render(scene, frames=16):
    """(clip [n, 3, frames, 32, 32] in [-1, 1], top [n, frames, 32, 32]: 0 background, 1 to 3 the shape seen there)."""
    device = scene["radius"].device
    t = torch.arange(frames, device=device, dtype=torch.float32)
    axis = torch.arange(SIZE, device=device, dtype=torch.float32) + 0.5
    x, y, t = axis.view(1, 1, 1, -1), axis.view(1, 1, -1, 1), t.view(1, -1, 1, 1)
    clip = _ground(scene, x, y, t)
    top = torch.zeros(clip.shape[0], frames, SIZE, SIZE, device=device)
    centres = positions(scene, t.flatten())
    for i in range(OBJECTS):
        radius = scene["radius"][:, i].view(-1, 1, 1, 1)
        angle = scene["angle"][:, i].view(-1, 1, 1, 1) + scene["spin"][:, i].view(-1, 1, 1, 1) * t
        cos, sin = angle.cos(), angle.sin()
        present = scene["present"][:, i].view(-1, 1, 1, 1)

        def local(dx, dy):
            px = (x - centres[:, i, :, 0, None, None] - dx) / radius
            py = (y - centres[:, i, :, 1, None, None] - dy) / radius
            return px, py, px * cos + py * sin, py * cos - px * sin

        _, _, u, v = local(1.2, 1.8)
        shadow = (0.5 - _distance(scene["shape"][:, i], u, v) * radius / 3).clamp(0, 1) * present
        clip = clip * (1 - 0.45 * shadow[:, None])

        px, py, u, v = local(0, 0)
        alpha = (0.5 - _distance(scene["shape"][:, i], u, v) * radius).clamp(0, 1) * present
        stripes = torch.tanh(3 * torch.sin(2 * math.pi * u * 1.3))
        checker = torch.tanh(5 * torch.sin(math.pi * u * 1.6) * torch.sin(math.pi * v * 1.6))
        halves = torch.tanh(6 * u)
        textures = torch.stack([torch.ones_like(u), stripes, checker, halves], 1)
        choice = torch.nn.functional.one_hot(scene["texture"][:, i], 4).float().view(-1, 4, 1, 1, 1)
        mix = (0.5 + 0.5 * (textures * choice).sum(1))[:, None]
        first, second = (scene[k][:, i].view(-1, 3, 1, 1, 1) for k in ("first", "second"))
        light = (1 - 0.2 * (px + py))[:, None]
        colour = ((mix * first + (1 - mix) * second) * light).clamp(0, 1)
        clip = clip * (1 - alpha[:, None]) + colour * alpha[:, None]
        top = torch.where(alpha > 0.5, float(i + 1), top)
    return clip * 2 - 1, top.long()


def contact_sheet(clips, path, columns=8, scale=2, gap=2):
    """One row per clip ([n, 3, F, H, W] in [-1, 1]), `columns` of its frames evenly spaced, enlarged."""
    import numpy as np
    from PIL import Image
    n, _, frames, height, width = clips.shape
    pick = torch.linspace(0, frames - 1, columns).round().long()
    pixels = ((clips.float().cpu()[:, :, pick].clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 4, 1).numpy()
    pixels = pixels.repeat(scale, 2).repeat(scale, 3)
    height, width = height * scale, width * scale
    sheet = np.full((n * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for row in range(n):
        for column in range(columns):
            y, x = row * (height + gap), column * (width + gap)
            sheet[y:y + height, x:x + width] = pixels[row, column]
    Image.fromarray(sheet).save(path, optimize=True)
