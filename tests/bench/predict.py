"""Prediction of many photos: `pet_breeds_predict` beside fastai's `get_preds` and beside a plain loop of PyTorch with torchvision's transforms.

    python tests/bench/predict.py [--n 1000] [--many 10000] [--rounds 3] [--json FILE]

Photos: `pets` and `pets_more` of `$PET_BREEDS_SHARED` (or `../shared`), linked under new names as often as needed. The model is one report: a
head fitted to `pets`, tf_efficientnet_lite0. Each way is a process of its own, which reads the report, predicts `--n` photos and writes a
CSV; ways in turn after a round to warm up. Seconds are of the whole process, its start included; `seconds_within` leaves out imports and the
report. Photos a second are counted from the whole process. Memory is the peak of the process, of its workers too for a loop that has some
(their sum is not known, so the largest is named). A ratio is the median of the rounds' ratios of wall time. `many`: our way once with
`--many` photos, whose memory should be the same. `same`: photos that get the same breed as by our way.
"""
import argparse, json, os, subprocess, sys, tempfile
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from presize import ROOT, SHARED, about, in_turn, show, timed
from pet_breeds.photos import find_photos
import numpy as np, pandas as pd

OURS = """
from pet_breeds.cli import main_predict
main_predict([report, photos, '--out', out])
"""
LEARNER = """
from fastai.vision.all import *
from pet_breeds.saving import report_learner
from pet_breeds.photos import find_photos
learn, files = report_learner(report), find_photos(photos)
start = time.perf_counter()
with learn.no_bar(): probs, _ = learn.get_preds(dl=learn.dls.test_dl(files, bs=64))
write(files, probs.argmax(1), learn.dls.vocab)
"""
EAGER = """
import torch
from PIL import Image
from torchvision import transforms as T
from pet_breeds.saving import load_model
from pet_breeds.photos import find_photos
net, about = load_model(report)
net.eval()
size = about['prep'].size
tfms = T.Compose([T.Resize(size), T.CenterCrop(size), T.ToTensor(), T.Normalize(about['mean'], about['std'])])
class Photos(torch.utils.data.Dataset):
    def __init__(self, files): self.files = files
    def __len__(self): return len(self.files)
    def __getitem__(self, i): return tfms(Image.open(self.files[i]).convert('RGB'))
files = find_photos(photos)
start = time.perf_counter()
with torch.no_grad(): answers = torch.cat([net(x).argmax(1) for x in torch.utils.data.DataLoader(Photos(files), 64, num_workers=workers)])
write(files, answers, about['vocab'])
"""
AROUND = """
import csv, json, resource, sys, time
report, photos, out, workers = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
def write(files, answers, vocab):
    with open(out, 'w', newline='') as f: csv.writer(f).writerows([('file', 'breed'), *((str(f), vocab[i]) for f, i in zip(files, answers))])
start = time.perf_counter()
{code}
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps(dict(seconds_within=time.perf_counter()-start, peak_mb=peak/1024)))
"""
WAYS = {'pet_breeds_predict': (OURS, 0), 'get_preds': (LEARNER, 0), 'torchvision': (EAGER, 0), 'torchvision, 2 workers': (EAGER, 2)}

def link(files, folder, n):
    "A folder of `n` photos under names of their own"
    folder.mkdir()
    for i, file in enumerate(islice(cycle(files), n)): os.symlink(file.resolve(), folder/f'{i:06}.jpg')
    return folder

def run(way, report, photos, out):
    "What one process says of itself, and its answers"
    code, workers = WAYS[way]
    out.unlink(missing_ok=True)
    args = [sys.executable, '-c', AROUND.replace('{code}', code), *map(str, (report, photos, out, workers))]
    done = subprocess.run(args, capture_output=True, text=True, env=os.environ | dict(PYTHONPATH=str(ROOT)))
    if done.returncode: raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1]), pd.read_csv(out).set_index('file').breed

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in dict(n=1000, many=10_000, rounds=3).items(): parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    files = [f for part in ('pets', 'pets_more') for f in find_photos(SHARED/part)]
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        report = tmp/'report'
        fit = f"from pet_breeds.pets import run_pets; run_pets({str(SHARED/'pets')!r}, out={str(report)!r})"
        subprocess.run([sys.executable, '-c', fit], check=True, capture_output=True, env=os.environ | dict(PYTHONPATH=str(ROOT)))
        photos = link(files, tmp/'some', args.n)
        ways = {way: partial(run, way, report, photos, tmp/'out.csv') for way in WAYS}
        rows = list(in_turn(ways, args.rounds))
        wall = np.array([[seconds[0] for _, seconds in row] for row in rows])
        ours, table = rows[0][0][0][1], {}
        for i, way in enumerate(WAYS):
            said = pd.DataFrame([row[i][0][0] for row in rows]).median()
            table[way] = dict(seconds=np.median(wall[:, i]), photos_a_second=args.n/np.median(wall[:, i]), ratio=np.median(wall[:, i]/wall[:, 0]),
                              **said, same=int((rows[0][i][0][1].reindex(ours.index) == ours).sum()))
        show(f'{args.n} photos, median of {args.rounds}', pd.DataFrame(table).T, 2)
        many = link(files, tmp/'many', args.many)
        (said, _), seconds = timed(run, 'pet_breeds_predict', report, many, tmp/'out.csv')
    result = about() | dict(n=args.n, rounds=args.rounds, ways=table, many=dict(n=args.many, seconds=seconds[0], photos_a_second=args.many/seconds[0], **said))
    print(f"{args.many} photos: {result['many']}")
    if args.json: args.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
