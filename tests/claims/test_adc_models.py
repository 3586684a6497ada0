"""Published figures of the ADC models."""

from __future__ import annotations

import pytest
import torch
from close import approx

import mapping
import xbar
from xbar.cost import estimate
from xbar.demo.models import MLP
from xbar.hardware import load_chip
from xbar.parts.adc.sar import SarAdc, SarReference
from xbar.parts.adc.survey import SurveyAdc

REFERENCE = SarReference(bits=8, power_W=2e-3, area_m2=1200e-12, rate_Hz=1.28e9)
SAR = SarAdc(bits=8, source="Shafiee et al., ISCA 2016, table 1", reference=REFERENCE)


@pytest.mark.parametrize(("bits", "power", "time", "area"), [(1, 28.4, 8.0, 2.0), (3, 14.2, 2.67, 2.0)])
def test_sar_saving_from_8_bits_as_zhang_prints_it(bits: int, power: float, time: float, area: float) -> None:
    """Zhang et al., arXiv 1909.08496: their "energy" is the law 2^N / (N + 1) of the power."""
    assert round(SAR.power_W(8) / SAR.power_W(bits), 1) == power
    assert round(SAR.time_s(8) / SAR.time_s(bits), 2) == time
    assert SAR.area_m2(8) / SAR.area_m2(bits) == approx(area)
    ratio = SAR.cost(8).energy_J / SAR.cost(bits).energy_J
    assert ratio == approx(SAR.power_W(8) / SAR.power_W(bits) * SAR.time_s(8) / SAR.time_s(bits))


def test_sar_names_its_law_wherever_its_source_is_printed() -> None:
    """Energy falls 228x to 1 bit where the paper prints 28.4x: reports must say which law they use."""
    law = "power ~ 2^N/(N+1), time ~ N, energy = power x time"
    assert law in SAR.source
    assert SAR.source.startswith("Shafiee et al., ISCA 2016, table 1")
    assert SarAdc(bits=8, source=SAR.source, reference=REFERENCE) == SAR
    chip = load_chip("isaac_isca_2016")
    assert [law in row.source for row in chip.ledger() if row.part == "adc"] == [True]


def test_sar_gives_its_reference_back() -> None:
    cost = SAR.cost(8)
    assert (cost.power_W, cost.area_m2) == (2e-3, 1200e-12)
    assert cost.energy_J == approx(1.5625e-12)
    assert cost.latency_s == approx(1 / 1.28e9)


@pytest.mark.parametrize(
    ("bits", "energy_pJ", "area_um2"), [(4, 0.924, 5190), (6, 1.065, 5416), (8, 1.929, 6469), (10, 16.4, 12275)]
)
def test_survey_law_at_32_nm(bits: int, energy_pJ: float, area_um2: float) -> None:
    """Andrulis et al., arXiv 2404.06553, at 1.28 GS/s."""
    adc = SurveyAdc(bits=bits, rate_Hz=1.28e9, technology_m=32e-9)
    assert adc.cost(bits).energy_J * 1e12 == approx(energy_pJ, rel=2e-3)
    assert adc.cost(bits).area_m2 * 1e12 == approx(area_um2, rel=1e-3)
    assert "Andrulis" in adc.source


def test_survey_law_says_where_it_ends() -> None:
    with pytest.raises(ValueError, match="must be 4 or more"):
        SurveyAdc(bits=3, rate_Hz=1.28e9, technology_m=32e-9)


@pytest.mark.parametrize(("bits", "energy_pJ", "area_um2"), [(4, 0.79, 361), (8, 1.67, 1200), (10, 2.38, 3002)])
def test_generic_chip_takes_the_scaled_kull_points(bits: int, energy_pJ: float, area_um2: float) -> None:
    cost = load_chip("generic_1t1r", {"adc.bits": bits}).adc.cost(bits)
    assert cost.energy_J == approx(energy_pJ * 1e-12)
    assert cost.area_m2 == approx(area_um2 * 1e-12)


@pytest.mark.parametrize(("bits", "power", "time"), [(1, 28.4, 8.0), (3, 14.2, 2.67)])
def test_a_mapped_network_saves_what_its_adcs_save(bits: int, power: float, time: float) -> None:
    """The MLP 784-100-10 of Zhang et al. on ISAAC's crossbars, with ADCs of 8 bits and of fewer, by the report.

    Conversions stay as many, each with power / 28.4 for time / 8 (14.2 and 2.67 with 3 bits); where crossbars are read
    fast enough for the layers to wait for their ADCs, the latency falls with the time.
    """
    energy, latency, area = (of_8 / of_fewer for of_8, of_fewer in zip(_bill(8), _bill(bits), strict=True))
    assert round(latency, 2) == time
    assert round(energy / latency, 1) == power
    assert area == approx(2)


def _bill(bits: int) -> tuple[float, float, float]:
    """Energy of the ADCs for an inference, latency, and area of the ADCs."""
    settings = {
        "adc.bits": bits,
        "crossbar.read_time_s": "1 ps",
        "core.parts": {},  # what drives lines and takes codes would be slower
        "precision.weight_bits": 9,
        "precision.input_bits": 8,
        "encoding.kind": "differential",
        "encoding.flipped": None,
    }
    chip, x = load_chip("isaac_isca_2016", settings), torch.rand(2, 784, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    program = mapping.compile(xbar.quantize(xbar.from_torch(MLP((784, 100, 10)).eval(), x), x, chip), chip)
    report = estimate(program, xbar.simulate(program, x).activity)
    adcs = report.by("part")["core.adc"]
    return adcs.dynamic_J, report.latency_s, adcs.area_m2
