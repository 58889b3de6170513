"""The app: `streamlit run app/main.py`, or `vtune app STORE`. It reads the store and never writes it."""

from pathlib import Path

import shell
import streamlit as st

st.set_page_config(page_title="vtune", page_icon=":material/stacked_line_chart:", layout="wide")
st.logo(Path(__file__).with_name("logo.svg"), size="large")
page = st.navigation(
    [
        st.Page("views/overview.py", title="Overview", icon=":material/space_dashboard:", default=True),
        st.Page("views/trials.py", title="Trials", icon=":material/table_rows:"),
        st.Page("views/history.py", title="History", icon=":material/timeline:"),
        st.Page("views/curves.py", title="Curves", icon=":material/show_chart:"),
    ]
)
if shell.choose_study():
    page.run()
